from pathlib import Path

import pytest

from nas_peft.data.class_folders import EMPTY, list_class_folders
from search_spaces.errors import InputError


def paths(items, root: Path) -> list[str]:
    return [str(Path(item.name).relative_to(root)) for item in items]


def test_class_folders_give_sorted_classes_and_images(tmp_path, write_classes, to_tensor):
    write_classes(tmp_path, {"dog": 2, "cat": 1, "Ant": 1})
    listing = list_class_folders(tmp_path, to_tensor)
    assert listing.classes == ("Ant", "cat", "dog")
    assert paths(listing.train, tmp_path) == ["Ant/000.png", "cat/000.png", "dog/000.png", "dog/001.png"]
    assert [item.label for item in listing.train] == [0, 1, 2, 2]
    assert (listing.val, listing.test, listing.name) == (None, None, tmp_path.name)


def test_an_item_loads_its_image(tmp_path, write_image, to_tensor):
    write_image(tmp_path / "a" / "1.png", (9, 8, 7))
    (item,) = list_class_folders(tmp_path, to_tensor).train
    assert item.load()[:, 0, 0].tolist() == [9, 8, 7]


def test_images_are_found_at_any_depth_by_suffix_and_hidden_files_are_not(tmp_path, write_image, to_tensor):
    wanted = ["a/x.JPG", "a/deep/er/y.jpeg", "a/z.bmp", "b/1.png", "b/2.webp", "b/3.gif", "b/4.tif"]
    for name in [*wanted, "a/.hidden.png", "a/.thumbs/t.png", ".git/g.png", "__MACOSX/m.png"]:
        write_image(tmp_path / name)
    (tmp_path / "a" / "notes.txt").write_text("no image")
    listing = list_class_folders(tmp_path, to_tensor)
    assert listing.classes == ("a", "b")
    assert sorted(paths(listing.train, tmp_path)) == sorted(wanted)


def test_linked_folders_are_followed(tmp_path, write_classes, to_tensor):
    write_classes(tmp_path / "store", {"a": 1, "b": 2})
    (tmp_path / "set" / "b").mkdir(parents=True)
    (tmp_path / "set" / "a").symlink_to(tmp_path / "store" / "a")
    (tmp_path / "set" / "b" / "more").symlink_to(tmp_path / "store" / "b")
    assert len(list_class_folders(tmp_path / "set", to_tensor).train) == 3


@pytest.mark.parametrize("val", ["val", "valid", "validation", "VAL"])
def test_part_folders_are_recognised(tmp_path, write_classes, to_tensor, val):
    write_classes(tmp_path / "train", {"a": 3, "b": 2})
    write_classes(tmp_path / val, {"b": 1})
    write_classes(tmp_path / "test", {"a": 1, "b": 1})
    listing = list_class_folders(tmp_path, to_tensor)
    assert listing.classes == ("a", "b")
    assert paths(listing.val, tmp_path) == [f"{val}/b/000.png"]
    assert [item.label for item in listing.val] == [1]
    assert [item.label for item in listing.test] == [0, 1]
    assert len(listing.train) == 5


def test_parts_that_are_not_there_are_none(tmp_path, write_classes, to_tensor):
    write_classes(tmp_path / "train", {"a": 3, "b": 3})
    write_classes(tmp_path / "test", {"a": 1})
    listing = list_class_folders(tmp_path, to_tensor)
    assert listing.val is None
    assert len(listing.test) == 1


def test_a_class_may_be_called_train(tmp_path, write_classes, to_tensor):
    write_classes(tmp_path, {"plane": 3, "train": 3})
    assert list_class_folders(tmp_path, to_tensor).classes == ("plane", "train")


def test_what_lies_beside_the_classes_is_named(tmp_path, write_classes, write_image, to_tensor):
    write_classes(tmp_path / "train", {"a": 3, "b": 3})
    write_classes(tmp_path / "test", {"a": 3, "b": 3})
    write_image(tmp_path / "extra" / "1.png")
    (tmp_path / "README.txt").write_text("about")
    assert list_class_folders(tmp_path, to_tensor).ignored == ("README.txt", "extra")


def test_a_folder_without_class_folders_is_refused(tmp_path, write_image, to_tensor):
    write_image(tmp_path / "1.png")
    with pytest.raises(InputError, match="has no class folders; arrange the images as CLASS/IMAGE"):
        list_class_folders(tmp_path, to_tensor)


def test_part_folders_without_class_folders_are_refused(tmp_path, write_image, to_tensor):
    write_image(tmp_path / "train" / "1.png")
    write_image(tmp_path / "test" / "1.png")
    with pytest.raises(
        InputError, match=r"has test, train but no class folders in 'train'.*train/CLASS/IMAGE"
    ):
        list_class_folders(tmp_path, to_tensor)


def test_parts_without_train_are_refused(tmp_path, write_classes, to_tensor):
    write_classes(tmp_path / "val", {"a": 3})
    write_classes(tmp_path / "test", {"a": 3})
    with pytest.raises(InputError, match="no class folders in 'train'"):
        list_class_folders(tmp_path, to_tensor)


def test_two_folders_for_one_part_are_refused(tmp_path, write_classes, to_tensor):
    for name in ("train", "val", "valid"):
        write_classes(tmp_path / name, {"a": 3, "b": 3})
    with pytest.raises(InputError, match="two val folders, 'val' and 'valid'; keep one"):
        list_class_folders(tmp_path, to_tensor)


@pytest.mark.parametrize("part", ["val", "test"])
def test_a_class_that_train_lacks_is_named(tmp_path, write_classes, to_tensor, part):
    write_classes(tmp_path / "train", {"a": 3, "b": 3})
    write_classes(tmp_path / part, {"a": 3, "c": 1})
    with pytest.raises(InputError, match=rf"class folder '.*{part}/c' has no counterpart in '.*train'"):
        list_class_folders(tmp_path, to_tensor)


def test_an_empty_class_folder_is_named_with_what_it_needs(tmp_path, write_classes, to_tensor):
    write_classes(tmp_path, {"a": 3, "b": 0})
    with pytest.raises(InputError, match=r"b' has 0 images, 3 are needed .one each for train, val and test"):
        list_class_folders(tmp_path, to_tensor)


def test_an_empty_class_folder_in_train_needs_as_many_as_train_must_serve(tmp_path, write_classes, to_tensor):
    write_classes(tmp_path / "train", {"a": 3, "b": 0})
    write_classes(tmp_path / "test", {"a": 3, "b": 3})
    with pytest.raises(InputError, match=r"train/b' has 0 images, 2 are needed .one each for train and val"):
        list_class_folders(tmp_path, to_tensor)


@pytest.mark.parametrize("part", ["val", "test"])
@pytest.mark.parametrize("beside", [None, ".DS_Store", "deeper/.gitkeep"])
def test_an_empty_class_folder_beside_train_is_one_that_is_missing(
    tmp_path, write_classes, to_tensor, part, beside
):
    write_classes(tmp_path / "train", {"a": 3, "b": 3})
    write_classes(tmp_path / part, {"a": 3})
    missing = list_class_folders(tmp_path, to_tensor)
    (tmp_path / part / "b" / "deeper").mkdir(parents=True)
    if beside:
        (tmp_path / part / "b" / beside).write_text("")
    empty = list_class_folders(tmp_path, to_tensor)
    assert empty.classes == missing.classes
    for (name, items), (_, others) in zip(empty.parts(), missing.parts(), strict=True):
        assert paths(items, tmp_path) == paths(others, tmp_path), name
    assert empty.left_out[EMPTY] == (f"{part}/b",)


def test_a_part_of_nothing_but_empty_class_folders_is_drawn(tmp_path, write_classes, to_tensor):
    write_classes(tmp_path / "train", {"a": 3, "b": 3})
    write_classes(tmp_path / "val", {"a": 0, "b": 0})
    listing = list_class_folders(tmp_path, to_tensor)
    assert (listing.val, listing.left_out[EMPTY]) == (None, ("val/a", "val/b"))
    assert listing.notes == ("'val' has no images, so it cannot serve as val",)


def test_a_class_folder_of_pictures_that_are_not_read_is_refused(tmp_path, write_classes, to_tensor):
    """The folder is no empty one: the pictures are there, and the message says how to have them read."""
    write_classes(tmp_path / "train", {"a": 3, "b": 3})
    write_classes(tmp_path / "test", {"a": 3, "b": 0})
    (tmp_path / "test" / "b" / "1.cr2").write_bytes(b"raw")
    with pytest.raises(InputError, match=r"test/b' has 0 images.*1 .cr2 .camera raw; export them as JPEG"):
        list_class_folders(tmp_path, to_tensor)


@pytest.mark.parametrize("above", ["", "train/"])
def test_class_folders_are_no_domains(tmp_path, write_classes, to_tensor, above):
    write_classes(tmp_path / above, {"dog": 2, "guitar": 2, "horse": 2})
    message = "--domains needs DOMAIN/CLASS/IMAGE, and 'dog', 'guitar', 'horse' hold images directly; leave "
    with pytest.raises(InputError, match=message):
        list_class_folders(tmp_path, to_tensor, domains=True)
