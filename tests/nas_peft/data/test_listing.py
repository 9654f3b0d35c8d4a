import torch

from nas_peft.data.listing import Item, Listing, labels_of


def item(label: int) -> Item:
    return Item(f"image of {label}", label, lambda: torch.zeros(3, 1, 1, dtype=torch.uint8))


def test_parts_are_those_that_exist():
    whole = Listing("n", "s", ("a", "b"), (item(0),), (item(1),), (item(0), item(1)))
    assert [(name, len(items)) for name, items in whole.parts()] == [("train", 1), ("val", 1), ("test", 2)]
    bare = Listing("n", "s", ("a", "b"), (item(0),), None, None)
    assert [name for name, _ in bare.parts()] == ["train"]


def test_class_counts_include_classes_without_images():
    listing = Listing("n", "s", ("a", "b", "c", "d"), (item(2), item(0), item(2)), None, None)
    assert listing.class_counts(listing.train).tolist() == [1, 0, 2, 0]


def test_labels_of_nothing_are_no_labels():
    assert labels_of(()).tolist() == []
    assert labels_of((item(3), item(1))).tolist() == [3, 1]
