import threading
import time
import warnings

import pytest
import torch
from PIL import Image

from nas_peft.data.decoding import UnreadableImage, read_image
from nas_peft.data.listing import Item, Listing
from nas_peft.data.materialise import materialise, without_unreadable
from search_spaces.errors import InputError


def item(value: int, label: int = 0, load=None) -> Item:
    return Item(f"image {value}", label, load or (lambda: torch.full((3, 2, 2), value, dtype=torch.uint8)))


def bad(name: str, label: int = 0) -> Item:
    def load():
        raise UnreadableImage(name, "made so")

    return Item(name, label, load)


def nothing() -> None: ...


def test_images_keep_their_order_however_long_each_takes():
    def slow_first(value: int):
        time.sleep(0.05 if value == 0 else 0)
        return torch.full((3, 2, 2), value, dtype=torch.uint8)

    part = materialise([item(v, v % 3, lambda v=v: slow_first(v)) for v in range(9)], nothing)
    assert part.images[:, 0, 0, 0].tolist() == list(range(9))
    assert part.labels.tolist() == [0, 1, 2] * 3


def test_each_image_is_reported_in_the_calling_thread():
    threads = []
    materialise([item(v) for v in range(5)], lambda: threads.append(threading.current_thread()))
    assert threads == [threading.current_thread()] * 5


def test_the_first_bad_image_in_order_is_the_error():
    with pytest.raises(UnreadableImage, match=r"'x\.png'"):
        materialise([item(0), bad("x.png"), bad("y.png")], nothing)


@pytest.mark.parametrize(
    "other",
    [torch.zeros(3, 2, 3, dtype=torch.uint8), torch.zeros(3, 2, 2), torch.zeros(2, 2, dtype=torch.uint8)],
)
def test_a_preprocessing_without_one_shape_and_type_is_refused(other):
    with pytest.raises(ValueError, match=r"uint8 of one shape, \(3, 2, 2\).*'image 1'"):
        materialise([item(0), item(1, load=lambda: other)], nothing)


def test_nothing_cannot_be_decoded():
    with pytest.raises(ValueError, match="there is no image to decode"):
        materialise([], nothing)


def test_an_oversized_image_raises_even_where_warnings_are_ignored(tmp_path, write_image, monkeypatch):
    path = write_image(tmp_path / "big.png", size=(20, 20))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 300)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(UnreadableImage, match="decompression bomb"):
            materialise([item(0, load=lambda: read_image(path, "big.png"))], nothing)
        assert warnings.filters[0][0] == "ignore"


def test_bad_images_are_left_out_of_each_part_and_named_in_order():
    listing = Listing(
        "n",
        "s",
        ("a", "b"),
        (item(0), bad("t1"), item(2, 1), bad("t3", 1)),
        (bad("v0"), item(1)),
        (item(0), item(1, 1), bad("e2", 1)),
    )
    seen = []
    found = without_unreadable(listing, lambda done, total: seen.append((done, total)))
    assert found.unreadable == ("t1", "t3", "v0", "e2")
    assert found.lasting
    assert [[i.name for i in items] for _, items in found.listing.parts()] == [
        ["image 0", "image 2"],
        ["image 1"],
        ["image 0", "image 1"],
    ]
    assert seen == [(done, 9) for done in range(1, 10)]


def test_missing_parts_stay_missing():
    found = without_unreadable(Listing("n", "s", ("a",), (item(0),), None, None), lambda done, total: None)
    assert (found.listing.val, found.listing.test, found.unreadable) == (None, None, ())


def test_a_file_that_the_system_cannot_read_may_be_whole(tmp_path):
    def gone():
        read_image(tmp_path / "gone.png", "gone.png")

    listing = Listing("n", "s", ("a",), (item(0), item(1, load=gone), bad("x")), None, None)
    found = without_unreadable(listing, lambda done, total: None)
    assert found.unreadable == ("image 1", "x")
    assert not found.lasting


def test_a_class_that_loses_all_training_images_is_named():
    listing = Listing("n", "s", ("a", "b", "c"), (item(0), bad("x", 1)), None, None)
    with pytest.raises(InputError, match=r"class 'b' has 0 images, 1 is needed \(for train\)"):
        without_unreadable(listing, lambda done, total: None)


def test_other_errors_are_not_taken_for_bad_images():
    def broken():
        raise RuntimeError("a fault of the preprocessing")

    listing = Listing("n", "s", ("a",), (item(0), item(1, load=broken)), None, None)
    with pytest.raises(RuntimeError, match="fault of the preprocessing"):
        without_unreadable(listing, lambda done, total: None)
