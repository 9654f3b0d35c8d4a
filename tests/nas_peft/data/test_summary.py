from nas_peft.data import load_dataset
from nas_peft.data.summary import data_summary


def test_the_summary_says_parts_classes_and_what_was_left_out(tmp_path, write_classes, to_tensor):
    write_classes(tmp_path, {"cat": 10, "dog": 15})
    (tmp_path / "cat" / "a.heic.xmp").write_text("x")
    data = load_dataset(str(tmp_path), to_tensor=to_tensor)
    text = data_summary(data.record, data.classes)
    assert [line.split() for line in text.splitlines()[1:5]] == [
        ["train", "val", "test"],
        ["cat", "6", "2", "2"],
        ["dog", "10", "2", "3"],
        ["all", "2", "classes", "16", "4", "5"],
    ]
    said = "test: 20% of all 25 images, by class, seed 0; val: 20% of the others; train: what remains"
    assert f"  {said}\n" in text
    assert "left out: 1 .xmp (such as cat/a.heic.xmp)" in text
    skipped = data_summary({**data.record, "skipped": ["cat/b.png"]}, data.classes)
    assert "left out: 1 undecodable image (such as cat/b.png)" in skipped


def test_many_classes_are_shortened_and_a_rare_class_is_warned_of(tmp_path, write_classes, to_tensor):
    write_classes(tmp_path, {f"c{i:02}": 5 for i in range(14)} | {"most": 110})
    data = load_dataset(str(tmp_path), to_tensor=to_tensor)
    text = data_summary(data.record, data.classes)
    assert "... 5 more classes, 5 to 110 images each" in text
    assert "warning: class 'most' has" in text
