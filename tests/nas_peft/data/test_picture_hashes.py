"""Pictures are hashed at their own size, whatever the backbone leaves of them."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from nas_peft.data import load_dataset
from nas_peft.data.duplicates import LEAST_DETAIL
from nas_peft.data.picture_hashes import PictureHashes, picture_hash


def photo(detail: int) -> Image.Image:
    """A picture of one layout, whose details are drawn from a seed."""
    layout = np.random.default_rng(0).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    large = np.asarray(Image.fromarray(layout).resize((512, 512), Image.Resampling.BICUBIC)).astype(float)
    blocks = np.random.default_rng(detail).choice([-90.0, 90.0], (64, 64, 1))
    return Image.fromarray((large + np.kron(blocks, np.ones((8, 8, 1)))).clip(0, 255).astype(np.uint8))


def stored(image: Image.Image, size: int, quality: int) -> Image.Image:
    stream = io.BytesIO()
    image.resize((size, size)).save(stream, "jpeg", quality=quality)
    return Image.open(stream).convert("RGB")


def alike(one: Image.Image, other: Image.Image) -> float:
    first, second = picture_hash(one), picture_hash(other)
    assert first is not None
    assert second is not None
    return first.detail(second)


def test_a_copy_that_was_stored_anew_has_the_same_details_and_another_picture_has_others():
    assert alike(photo(1), stored(photo(1), 300, 75)) >= LEAST_DETAIL
    assert alike(photo(1), stored(photo(1), 40, 90)) >= LEAST_DETAIL  # a small preview
    assert alike(photo(1), photo(2)) < 0.8
    assert picture_hash(Image.new("RGB", (300, 200), "red")) is None


def test_where_the_backbone_sees_the_details_no_second_copy_is_kept():
    assert picture_hash(photo(1), seen=224).grey is None
    assert picture_hash(photo(1), seen=32).grey.shape == (64, 64)


def to_four_pixels(image: Image.Image) -> torch.Tensor:
    small = image.resize((4, 4), Image.Resampling.BOX)
    return torch.from_numpy(np.asarray(small).copy()).permute(2, 0, 1).contiguous()


@pytest.mark.parametrize(("in_test", "near"), [("another", 0), ("a copy", 1)])
def test_pictures_that_are_alike_to_the_backbone_only_are_no_copies(tmp_path, in_test, near):
    for part in ("train", "test"):
        for index, name in enumerate("ab"):
            (tmp_path / part / name).mkdir(parents=True)
            noise = np.random.default_rng([index, part == "test"]).integers(0, 256, (64, 64, 3))
            for shift in range(2):
                rolled = np.roll(noise, 20 * shift, 0).astype(np.uint8)
                Image.fromarray(rolled).save(tmp_path / part / name / f"{shift}.png")
    photo(1).save(tmp_path / "train" / "a" / "photo.png")
    other = stored(photo(1), 400, 90) if in_test == "a copy" else photo(2)
    other.save(tmp_path / "test" / "a" / "photo.png")
    found = load_dataset(str(tmp_path), to_tensor=to_four_pixels).record["duplicates"]
    assert sum(found["near"].values()) == near, found


def test_an_image_that_comes_preprocessed_is_hashed_as_it_is():
    pixels = torch.from_numpy(np.asarray(photo(3)).copy()).permute(2, 0, 1)
    place = [None]
    PictureHashes(to_four_pixels).noting(lambda: pixels, place, 0)()
    assert (place[0].bits == picture_hash(photo(3)).bits).all()
