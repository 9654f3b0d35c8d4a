"""Larger copies for crops: the same pictures in the same order, only where they have more to show."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from nas_peft.data import ImageDataset, load_dataset
from nas_peft.data.cache_settings import CacheSettings
from nas_peft.data.image_rows import ImageRows, blocks_of
from nas_peft.data.larger_images import (
    FACTOR,
    may_be_larger,
    seconds_of_larger_images,
    with_larger_images,
)
from nas_peft.data.part import Part
from supernet.images import TwoSizes
from supernet.preprocessing import Preprocessing

LOOK = {
    "mean": (0.5,) * 3,
    "std": (0.5,) * 3,
    "interpolation": "bicubic",
    "crop_pct": 0.9,
    "crop_mode": "center",
}
SEEN = Preprocessing(input_size=(3, 16, 16), **LOOK)
LARGER = SEEN.enlarged(FACTOR)


def nothing(done: int, total: int) -> None:
    """Ignore progress."""


@pytest.fixture
def write_pictures(tmp_path: Path) -> Callable[..., Path]:
    """Writes class folders of noisy pictures of one size; some of the first class are there twice."""

    def write(side: int, copies: int = 0) -> Path:
        draws = np.random.default_rng(0)
        for label in ("ant", "bee"):
            folder = tmp_path / "pictures" / label
            folder.mkdir(parents=True)
            for number in range(12):
                pixels = draws.integers(0, 256, (side, side + 4, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{number:02}.png")
                if label == "ant" and number < copies:
                    Image.fromarray(pixels).save(folder / f"{number:02}-copy.png")
        return tmp_path / "pictures"

    return write


def loaded(folder: Path, **options: Any) -> ImageDataset:
    return load_dataset(str(folder), to_tensor=SEEN.to_tensor, seed=3, **options)


def enlarged(images: torch.Tensor) -> torch.Tensor:
    """Images of the larger copies' size, blurred as the small ones are."""
    return torch.nn.functional.interpolate(images.float(), (20, 20), mode="bilinear", antialias=True)


@pytest.mark.parametrize("options", [{}, {"shots": 3}, {"drop_duplicates": True}], ids=str)
def test_each_image_has_its_own_picture(write_pictures: Callable[..., Path], options: dict[str, Any]):
    plain = loaded(write_pictures(50, copies=6), **options)
    assert may_be_larger(plain)
    found = with_larger_images(plain, LARGER.to_tensor, nothing)
    for before, part in ((plain.train, found.train), (plain.val, found.val)):
        assert isinstance(part.images, TwoSizes)
        assert torch.equal(part.images[:], before.images[:])
        assert torch.equal(part.labels, before.labels)
        assert part.images.larger.shape == (len(part), 3, 20, 20)
        small, large = enlarged(part.images[:]).flatten(1), part.images.larger[:].float().flatten(1)
        alike = torch.corrcoef(torch.cat([small, large]))[: len(part), len(part) :]
        own, others = alike.diagonal(), alike - 2 * torch.eye(len(part))
        # of equal pictures in one part either is as like
        assert bool((own >= others.amax(1) - 1e-3).all())
        assert float(own.min()) > 0.35
        assert float(others.median()) < 0.1
    assert found.fingerprint == plain.fingerprint
    assert found.record == plain.record
    assert found.test is plain.test
    assert not may_be_larger(found)  # it has them


def test_pictures_without_more_pixels_stay_alone(write_pictures: Callable[..., Path]):
    assert not may_be_larger(loaded(write_pictures(16)))


def test_what_decoding_them_takes_is_told_by_a_few_pictures(
    write_pictures: Callable[..., Path], tmp_path: Path
):
    folder, cache = write_pictures(40), CacheSettings(tmp_path / "cache", smallest=0)
    data = loaded(folder, cache=cache)
    assert 0 < seconds_of_larger_images(data, LARGER.to_tensor) < 10
    with_larger_images(data, LARGER.to_tensor, nothing)
    assert seconds_of_larger_images(data, LARGER.to_tensor) == 0  # the cache has them
    assert seconds_of_larger_images(load_dataset("digits", to_tensor=SEEN.to_tensor), LARGER.to_tensor) == 0


def test_data_without_files_stay_alone():
    assert not may_be_larger(load_dataset("digits", to_tensor=SEEN.to_tensor))


def test_parts_are_taken_joined_and_sent_with_their_copies(write_pictures: Callable[..., Path]):
    found = with_larger_images(loaded(write_pictures(40)), LARGER.to_tensor, nothing)
    joined = found.train_val
    chosen = joined.take(torch.tensor([5, 0]))
    rebuild, arguments = chosen.__reduce__()  # what Ray's pickle does
    sent = rebuild(*arguments)
    for part in (chosen, sent):
        assert isinstance(part.images, TwoSizes)
        assert torch.equal(part.images[:], joined.images[torch.tensor([5, 0])])
        assert torch.equal(part.images.larger[:], joined.images.larger[torch.tensor([5, 0])])
    mixed = Part.join([found.train, Part(found.val.images.images, found.val.labels)])
    assert not isinstance(mixed.images, TwoSizes)


def test_the_cache_keeps_both_and_the_second_time_nothing_is_decoded(
    write_pictures: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    folder, cache = write_pictures(40), CacheSettings(tmp_path / "cache", smallest=0)
    first = with_larger_images(loaded(folder, cache=cache), LARGER.to_tensor, nothing)
    assert isinstance(first.train.images, TwoSizes)
    assert isinstance(first.train.images.larger, ImageRows)
    assert " and " in first.kept
    assert len(set(blocks_of(first.train.images))) == 2  # other machines get copies of both
    decoded = []
    again = with_larger_images(
        loaded(folder, cache=cache), LARGER.to_tensor, lambda done, total: decoded.append(done)
    )
    assert not decoded
    assert torch.equal(again.train.images.larger[:], first.train.images.larger[:])
