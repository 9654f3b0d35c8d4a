import json
from pathlib import Path

import pytest
import torch

from nas_peft.data import ImageDataset, SealedPart, load_dataset
from search_spaces.errors import InputError


@pytest.fixture
def folder(tmp_path, write_classes) -> Path:
    write_classes(tmp_path / "pets", {"cat": 10, "dog": 15})
    return tmp_path / "pets"


def colours(part) -> set[tuple[int, ...]]:
    return {tuple(image[:, 0, 0].tolist()) for image in part.images}


def test_a_folder_becomes_three_parts_of_decoded_images(folder, to_tensor):
    data = load_dataset(str(folder), to_tensor=to_tensor)
    assert (data.name, data.classes) == ("pets", ("cat", "dog"))
    test = data.test.open("a decision")
    assert data.train.images.shape == (16, 3, 4, 4)
    parts = [colours(part) for part in (data.train, data.val, test)]
    assert [len(part) for part in parts] == [16, 4, 5]
    # Every image has its own colour: red counts within the class, green is the class.
    assert set.union(*parts) == {(n, 0, 7) for n in range(10)} | {(n, 1, 7) for n in range(15)}
    for part in (data.train, data.val, test):
        assert part.images[:, 1, 0, 0].tolist() == part.labels.tolist()


def test_the_test_part_is_sealed(folder, to_tensor):
    data = load_dataset(str(folder), to_tensor=to_tensor)
    assert isinstance(data.test, SealedPart)
    assert not data.test.opened
    assert len(data.test) == 5


def test_train_val_is_train_then_val(folder, to_tensor):
    data = load_dataset(str(folder), to_tensor=to_tensor)
    assert torch.equal(data.train_val.images, torch.cat([data.train.images, data.val.images]))
    assert torch.equal(data.train_val.labels, torch.cat([data.train.labels, data.val.labels]))


def test_the_record_says_how_the_data_came_about(folder, to_tensor):
    (folder / "notes.txt").write_text("about")
    data = load_dataset(str(folder), to_tensor=to_tensor, seed=3, shots=2)
    assert json.loads(json.dumps(data.record)) == {
        "spec": str(folder),
        "path": str(folder),
        "source": f"class folders in {folder}",
        "classes": 2,
        "splits": {
            "train": "rest of train; 2 per class at random, seed 3",
            "val": "stratified split of the rest of train, 20%, seed 3; up to 2 per class at random, seed 3",
            "test": "stratified split of train, 20%, seed 3",
        },
        "counts": {"train": 4, "val": 4, "test": 5},
        "shots": 2,
        "seed": 3,
        "skipped": [],
        "ignored": ["notes.txt"],
        "class_counts": {"train": [2, 2], "val": [2, 2], "test": [2, 3]},
        "test_names": data.record["test_names"],
        "left_out": {},
        "notes": [],
        "warnings": [data.record["warnings"][0]],
        "duplicates": data.record["duplicates"] | {"examples": [], "two_labels": 0, "dropped": {}},
    }


def same(a: ImageDataset, b: ImageDataset) -> bool:
    return torch.equal(a.train.images, b.train.images) and torch.equal(a.val.images, b.val.images)


def test_equal_seeds_give_equal_data_and_fingerprints(folder, to_tensor):
    first, again, other = (load_dataset(str(folder), to_tensor=to_tensor, seed=s) for s in (1, 1, 2))
    assert same(first, again)
    assert first.fingerprint == again.fingerprint
    assert not same(first, other)
    assert first.fingerprint != other.fingerprint


@pytest.mark.parametrize("part", ["train", "val", "test"])
def test_the_fingerprint_sees_a_change_in_each_part(tmp_path, write_classes, write_image, to_tensor, part):
    for name in ("train", "val", "test"):
        write_classes(tmp_path / name, {"a": 1, "b": 1})
    before = load_dataset(str(tmp_path), to_tensor=to_tensor).fingerprint
    write_image(tmp_path / part / "a" / "000.png", (0, 0, 8))
    assert load_dataset(str(tmp_path), to_tensor=to_tensor).fingerprint != before


def test_the_fingerprint_sees_class_names(tmp_path, write_classes, to_tensor):
    for name in ("train", "val", "test"):
        write_classes(tmp_path / name, {"a": 1, "b": 1})
    before = load_dataset(str(tmp_path), to_tensor=to_tensor).fingerprint
    for name in ("train", "val", "test"):
        (tmp_path / name / "b").rename(tmp_path / name / "c")
    renamed = load_dataset(str(tmp_path), to_tensor=to_tensor).fingerprint
    assert renamed != before


@pytest.fixture
def task(tmp_path, write_image) -> Path:
    lists = {
        "train800": ["a 0", "b 1"],
        "val200": ["c 0"],
        "train800val200": ["a 0", "b 1", "c 0"],
        "test": ["d 1"],
    }
    for name, lines in lists.items():
        text = "".join(f"images/{line.replace(' ', '.png ')}\n" for line in lines)
        (tmp_path / f"{name}.txt").write_text(text)
    for image in "abcd":
        write_image(tmp_path / "images" / f"{image}.png")
    return tmp_path


def test_a_task_folder_is_recognised_before_class_folders(task, to_tensor):
    data = load_dataset(str(task), to_tensor=to_tensor)
    assert data.record["counts"] == {"train": 2, "val": 1, "test": 1}
    assert data.record["splits"] == {"train": "given", "val": "given", "test": "given"}
    assert data.record["source"] == f"VTAB-1k task folder {task}"


def test_the_fingerprint_sees_a_changed_label(task, to_tensor):
    before = load_dataset(str(task), to_tensor=to_tensor).fingerprint
    (task / "test.txt").write_text("images/d.png 0\n")
    assert load_dataset(str(task), to_tensor=to_tensor).fingerprint != before


def test_embedded_digits_keep_their_split_whatever_the_seed(to_tensor):
    zero, one = (load_dataset("digits", to_tensor=to_tensor, seed=seed) for seed in (0, 1))
    assert zero.fingerprint == one.fingerprint
    assert zero.record["counts"] == {"train": 800, "val": 200, "test": 797}
    assert (zero.name, len(zero.classes)) == ("digits", 10)


def test_a_structured_task_says_that_it_is_synthetic(to_tensor, monkeypatch):
    few = {"train": 24, "val": 8, "test": 16}
    monkeypatch.setattr("nas_peft.data.structured_tasks.IMAGES", few)
    data = load_dataset("shapes-count", to_tensor=to_tensor, seed=1)
    assert data.record["counts"] == few
    assert str(data.record["source"]).startswith("embedded, synthetic: ")
    assert "synthetic" in str(data.record["splits"])


def test_a_folder_comes_before_an_embedded_name(tmp_path, write_classes, to_tensor, monkeypatch):
    write_classes(tmp_path / "digits", {"a": 3, "b": 3})
    monkeypatch.chdir(tmp_path)
    assert load_dataset("digits", to_tensor=to_tensor).classes == ("a", "b")


def test_the_home_folder_may_be_abbreviated(folder, to_tensor, monkeypatch):
    monkeypatch.setenv("HOME", str(folder.parent))
    assert load_dataset("~/pets", to_tensor=to_tensor).name == "pets"


def test_progress_counts_every_image_once(folder, to_tensor):
    seen = []
    load_dataset(str(folder), to_tensor=to_tensor, on_progress=lambda done, total: seen.append((done, total)))
    assert seen == [(done, 25) for done in range(1, 26)]


def test_few_shots_decode_only_what_they_use(folder, to_tensor):
    seen = []
    load_dataset(str(folder), to_tensor=to_tensor, shots=1, on_progress=lambda *state: seen.append(state))
    assert seen[-1] == (1 * 2 + 1 * 2 + 5, 1 * 2 + 1 * 2 + 5)


def test_a_bad_image_is_named(folder, to_tensor):
    (folder / "cat" / "004.png").write_bytes(b"broken")
    with pytest.raises(InputError, match=r"image '.*cat/004.png' cannot be decoded.*--skip-bad-images"):
        load_dataset(str(folder), to_tensor=to_tensor)


def test_bad_images_can_be_left_out_and_are_recorded(folder, to_tensor):
    bad = [folder / "cat" / "004.png", folder / "dog" / "000.png"]
    for path in bad:
        path.write_bytes(b"broken")
    seen = []
    data = load_dataset(
        str(folder), to_tensor=to_tensor, skip_bad_images=True, on_progress=lambda *state: seen.append(state)
    )
    assert data.record["skipped"] == [str(path) for path in bad]
    assert sum(data.record["counts"].values()) == 23
    assert seen[24:26] == [(25, 25), (1, 23)]
    for path in bad:
        path.unlink()
    assert load_dataset(str(folder), to_tensor=to_tensor).fingerprint == data.fingerprint


def test_shots_stay_whole_when_bad_images_are_left_out(folder, to_tensor):
    for number in range(0, 10, 2):
        (folder / "cat" / f"{number:03}.png").write_bytes(b"broken")
    data = load_dataset(str(folder), to_tensor=to_tensor, skip_bad_images=True, shots=3)
    assert torch.bincount(data.train.labels).tolist() == [3, 3]


@pytest.mark.parametrize(
    ("left", "message"),
    [(0, r"class 'cat' has 0 images"), (2, r"class 'cat' has 2 images, 3 are needed .*train, val and test")],
)
def test_a_class_emptied_by_bad_images_is_named(folder, to_tensor, left, message):
    for number in range(left, 10):
        (folder / "cat" / f"{number:03}.png").write_bytes(b"broken")
    with pytest.raises(InputError, match=message):
        load_dataset(str(folder), to_tensor=to_tensor, skip_bad_images=True)


def test_a_test_part_emptied_by_bad_images_is_named(tmp_path, write_classes, to_tensor):
    for name in ("train", "val", "test"):
        write_classes(tmp_path / name, {"a": 1, "b": 1})
    for path in (tmp_path / "test").rglob("*.png"):
        path.write_bytes(b"broken")
    with pytest.raises(InputError, match="has no test images; add some"):
        load_dataset(str(tmp_path), to_tensor=to_tensor, skip_bad_images=True)


def test_one_class_is_too_few(tmp_path, write_classes, to_tensor):
    write_classes(tmp_path / "pets", {"cat": 10})
    with pytest.raises(InputError, match=r"'pets' has training images of 1 class, 'cat'; at least 2 classes"):
        load_dataset(str(tmp_path / "pets"), to_tensor=to_tensor)


def test_a_negative_seed_is_refused(folder, to_tensor):
    with pytest.raises(InputError, match="seed is -1; allowed are whole numbers from 0"):
        load_dataset(str(folder), to_tensor=to_tensor, seed=-1)


def test_zero_shots_are_refused(folder, to_tensor):
    with pytest.raises(InputError, match="shots is 0"):
        load_dataset(str(folder), to_tensor=to_tensor, shots=0)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            "digts",
            r"unknown data set 'digts'; did you mean 'digits'\?.*\(digits, shapes-count, .*\).*torch/NAME",
        ),
        ("zzzz", r"unknown data set 'zzzz'\. There is no folder"),
        ("my/photos", r"no such folder 'my/photos'; give a folder of class folders, a VTAB-1k task folder"),
        ("photos.v2", r"no such folder 'photos.v2'"),
        ("", r"unknown data set ''"),
    ],
)
def test_an_unknown_spec_says_what_there_is(tmp_path, to_tensor, monkeypatch, spec, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message) as caught:
        load_dataset(spec, to_tensor=to_tensor)
    assert "\n" not in str(caught.value)


def test_a_file_is_not_a_folder(tmp_path, to_tensor):
    (tmp_path / "pets.zip").write_bytes(b"PK")
    with pytest.raises(InputError, match=r"pets.zip' is a file, a folder is needed; unpack it"):
        load_dataset(str(tmp_path / "pets.zip"), to_tensor=to_tensor)
