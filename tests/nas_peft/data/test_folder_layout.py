"""Folders that can be read in two ways: the reading is said, or refused with both remedies."""

import pytest

from nas_peft.data.class_folders import UNLABELLED, list_class_folders
from search_spaces.errors import InputError


def sizes(listing) -> dict[str, int]:
    return {part: len(items) for part, items in listing.parts()}


def test_a_class_called_train_with_sub_folders_stays_a_class_and_it_is_said(
    tmp_path, write_classes, to_tensor
):
    for name in ("bus", "car", "train"):
        write_classes(tmp_path / name, {"cam1": 2, "cam2": 2})
    listing = list_class_folders(tmp_path, to_tensor)
    assert (listing.classes, sizes(listing)) == (("bus", "car", "train"), {"train": 12})
    assert "give --layout parts if 'train' is the training set" in listing.notes[0]
    assert "'cam1', 'cam2': give --domains if 'cam1' and 'cam2' are the classes" in listing.notes[1]


def test_train_beside_another_folder_of_images_is_refused_and_the_layout_decides(
    tmp_path, write_classes, write_image, to_tensor
):
    write_classes(tmp_path / "train", {"a": 3, "b": 3})
    write_image(tmp_path / "extra" / "1.png")
    with pytest.raises(InputError, match="two ways: 'train' is the training set, or a class like 'extra'"):
        list_class_folders(tmp_path, to_tensor)
    assert list_class_folders(tmp_path, to_tensor, layout="parts").classes == ("a", "b")
    assert list_class_folders(tmp_path, to_tensor, layout="classes").classes == ("extra", "train")


def test_a_folder_beside_confirmed_parts_is_left_out_and_named(
    tmp_path, write_classes, write_image, to_tensor
):
    for part in ("train", "test"):
        write_classes(tmp_path / part, {"a": 3, "b": 3})
    write_image(tmp_path / "extra" / "1.png")
    listing = list_class_folders(tmp_path, to_tensor)
    assert listing.left_out == {"folders beside the parts": ("extra",)}
    assert "'extra' beside the parts is not read" in listing.notes[0]


@pytest.mark.parametrize("inside", ["", "unknown/"])
def test_a_test_part_without_labels_is_left_out(tmp_path, write_classes, write_image, to_tensor, inside):
    write_classes(tmp_path / "train", {"a": 3, "b": 3})
    for number in range(4):
        write_image(tmp_path / f"test/{inside}{number}.png")
    listing = list_class_folders(tmp_path, to_tensor)
    assert sizes(listing) == {"train": 6}
    assert len(listing.left_out[UNLABELLED]) == 4
    assert "cannot serve as test" in listing.notes[0]


def test_a_flat_test_folder_beside_classes_is_not_taken_for_a_class(
    tmp_path, write_classes, write_image, to_tensor
):
    write_classes(tmp_path, {"a": 3, "b": 3})
    write_image(tmp_path / "test" / "1.png")
    with pytest.raises(InputError, match=r"'test', which is the name of a part: give --layout classes"):
        list_class_folders(tmp_path, to_tensor)
    listing = list_class_folders(tmp_path, to_tensor, layout="classes")
    assert listing.classes == ("a", "b", "test")


def test_eval_is_the_test_part_where_there_is_another_for_validation(tmp_path, write_classes, to_tensor):
    for part in ("train", "dev", "eval"):
        write_classes(tmp_path / part, {"a": 3, "b": 3})
    listing = list_class_folders(tmp_path, to_tensor)
    assert sizes(listing) == {"train": 6, "val": 6, "test": 6}
    assert "'eval' is read as the test set" in listing.notes[0]


def test_domains_above_classes_are_pooled(tmp_path, write_classes, to_tensor):
    for domain in ("art", "photo"):
        write_classes(tmp_path / domain, {"cat": 2, "dog": 1})
    listing = list_class_folders(tmp_path, to_tensor, domains=True)
    assert (listing.classes, [item.label for item in listing.train]) == (("cat", "dog"), [0, 0, 0, 0, 1, 1])


def test_parts_below_the_classes_are_refused(tmp_path, write_classes, to_tensor):
    for name in ("cat", "dog"):
        write_classes(tmp_path / name, {"train": 2, "test": 1})
    with pytest.raises(InputError, match=r"hold part folders \(such as 'cat/train'\)"):
        list_class_folders(tmp_path, to_tensor)


def test_a_folder_around_the_data_is_named(tmp_path, write_classes, to_tensor):
    write_classes(tmp_path / "archive", {"a": 3, "b": 3})
    with pytest.raises(InputError, match=r"give --dataset .*archive"):
        list_class_folders(tmp_path, to_tensor)


def test_one_name_in_two_unicode_forms_is_one_class(tmp_path, write_classes, to_tensor):
    write_classes(tmp_path / "train", {"caf\u00e9": 3, "tea": 3})
    write_classes(tmp_path / "val", {"cafe\u0301": 2, "tea": 2})
    listing = list_class_folders(tmp_path, to_tensor)
    assert (listing.classes, sizes(listing)) == (("caf\u00e9", "tea"), {"train": 6, "val": 4})


def test_a_class_that_differs_in_case_is_said_to(tmp_path, write_classes, to_tensor):
    write_classes(tmp_path / "train", {"Cat": 3, "dog": 3})
    write_classes(tmp_path / "val", {"cat": 2})
    with pytest.raises(InputError, match="'Cat' differs in case"):
        list_class_folders(tmp_path, to_tensor)


def test_parts_below_domains_are_refused_and_can_be_classes(tmp_path, write_classes, to_tensor):
    for domain in ("art", "photo"):
        for part in ("train", "val"):
            write_classes(tmp_path / domain / part, {"cat": 2, "dog": 2})
    with pytest.raises(InputError, match=r"hold part folders \(such as art/train, val\).*PART/DOMAIN/CLASS"):
        list_class_folders(tmp_path, to_tensor, domains=True)
    listing = list_class_folders(tmp_path, to_tensor, domains=True, layout="classes")
    assert listing.classes == ("train", "val")


def test_parts_in_longer_names_are_parts_and_it_is_said(tmp_path, write_classes, to_tensor):
    for part in ("pets_train", "pets_test"):
        write_classes(tmp_path / part, {"a": 3, "b": 3})
    listing = list_class_folders(tmp_path, to_tensor)
    assert (listing.classes, sizes(listing)) == (("a", "b"), {"train": 6, "test": 6})
    assert "'pets_test' as test, 'pets_train' as train; give --layout classes" in listing.notes[0]
    assert list_class_folders(tmp_path, to_tensor, layout="classes").classes == ("pets_test", "pets_train")
    write_classes(tmp_path / "bus", {"a": 3, "b": 3})
    assert list_class_folders(tmp_path, to_tensor).classes == ("bus", "pets_test", "pets_train")


def test_two_parts_of_one_kind_in_longer_names_are_refused(tmp_path, write_classes, to_tensor):
    for part in ("train", "public_test", "private_test"):
        write_classes(tmp_path / part, {"a": 3, "b": 3})
    with pytest.raises(InputError, match="two test folders, 'private_test' and 'public_test'; keep one"):
        list_class_folders(tmp_path, to_tensor)


@pytest.mark.parametrize(
    ("above", "inside"),
    [
        (("fold0", "fold1", "fold2"), ("a", "b")),
        (("fold0", "fold1"), ("class1", "class2")),
        (("original", "augmented"), ("a", "b")),
        (("art", "photo", "sketch"), ("cat", "dog")),
        (("mnist", "svhn", "usps"), ("0", "1")),
        (("Training", "Pr\u00fcfung"), ("cam1", "cam2")),
        (("Training", "Pr\u00fcfung", "Abnahme"), ("a", "b")),
    ],
)
def test_folders_that_all_hold_the_same_classes_are_refused(
    tmp_path, write_classes, to_tensor, above, inside
):
    """Read as the classes they would give a model that tells copies or parts of one data set apart."""
    for name in above:
        write_classes(tmp_path / name, dict.fromkeys(inside, 3))
    shown = f"'{inside[0]}', '{inside[1]}'"
    with pytest.raises(InputError, match=f"can be read in two ways: .*holds the classes {shown}") as refused:
        list_class_folders(tmp_path, to_tensor)
    message = str(refused.value)
    assert all(f"'{name}'" in message for name in above)
    assert "give --layout classes if they are the classes, --domains if they are domains" in message
    assert "or call the folders train, val and test if they are parts" in message
    assert ("--layout parts if 'Training' alone is the training set" in message) == ("Training" in above)
    assert list_class_folders(tmp_path, to_tensor, layout="classes").classes == tuple(sorted(above))
    assert list_class_folders(tmp_path, to_tensor, domains=True).classes == inside
    if "Training" in above:
        assert list_class_folders(tmp_path, to_tensor, layout="parts").classes == inside


def test_folders_below_the_parts_are_refused_alike(tmp_path, write_classes, to_tensor):
    for part in ("train", "test"):
        for name in ("original", "augmented"):
            write_classes(tmp_path / part / name, {"cat": 3, "dog": 3})
    with pytest.raises(InputError, match=r"train' can be read in two ways.*give --layout parts if they are"):
        list_class_folders(tmp_path, to_tensor)
    assert list_class_folders(tmp_path, to_tensor, layout="parts").classes == ("augmented", "original")
    assert list_class_folders(tmp_path, to_tensor, domains=True).classes == ("cat", "dog")


@pytest.mark.parametrize(
    "inside", [("cam1", "cam2"), ("session_01", "session_02"), ("2021", "2022")], ids=lambda names: names[0]
)
def test_numbered_folders_divide_the_images_of_a_class(tmp_path, write_classes, to_tensor, inside):
    for name in ("cat", "dog"):
        write_classes(tmp_path / name, dict.fromkeys(inside, 3))
    listing = list_class_folders(tmp_path, to_tensor)
    assert (listing.classes, sizes(listing)) == (("cat", "dog"), {"train": 12})
    one, two = inside
    assert f"'{one}', '{two}': give --domains if '{one}' and '{two}' are the classes" in listing.notes[0]


@pytest.mark.parametrize("beside", [True, False])
def test_images_beside_sub_folders_make_a_class(tmp_path, write_classes, write_image, to_tensor, beside):
    for name in ("cat", "dog"):
        write_classes(tmp_path / name, {"left": 3, "right": 3})
        if beside:
            write_image(tmp_path / name / "front.png")
    if beside:
        assert list_class_folders(tmp_path, to_tensor).classes == ("cat", "dog")
    else:
        with pytest.raises(InputError, match="two ways"):
            list_class_folders(tmp_path, to_tensor)


def test_different_sub_folders_are_those_of_classes(tmp_path, write_classes, to_tensor):
    write_classes(tmp_path / "cat", {"persian": 3, "young": 3})
    write_classes(tmp_path / "dog", {"poodle": 3, "young": 3})
    listing = list_class_folders(tmp_path, to_tensor)
    assert (listing.classes, listing.notes) == (("cat", "dog"), ())
