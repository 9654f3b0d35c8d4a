"""The images on which an export is compared with its subnet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from search_spaces import InputError
from supernet import Preprocessing, Subnet

BATCHES = (1, 2, 7)
"""Sizes of the batches in which an export is checked."""
COUNT = sum(BATCHES)


@dataclass(frozen=True)
class CheckImages:
    """Normalised ``pixels (COUNT, 3, H, W)``, and where they come from, as the end of a sentence."""

    pixels: Tensor
    source: str

    @classmethod
    def for_subnet(cls, subnet: Subnet, files: Sequence[Path] = ()) -> CheckImages:
        """The given image files; else images of the data set if that is at hand; else generated ones.

        Of a data set neither labels nor the test set's own part are read. Fewer than `COUNT` images are
        repeated. Raises `InputError` for a file that is not an image.
        """
        to_tensor = subnet.preprocessing.to_tensor
        if files:
            found = _of_files(files[:COUNT], to_tensor)
            return cls.of(found, subnet.preprocessing, f"{len(found)} given image{'s'[: len(found) > 1]}")
        record = subnet.training.get("dataset", {})
        spec = str(record.get("spec", ""))
        found = _of_dataset(str(record.get("path") or spec), to_tensor) if spec else []
        if found:
            return cls.of(found, subnet.preprocessing, f"{len(found)} images of the data set '{spec}'")
        generated = [to_tensor(picture) for picture in generated_pictures(COUNT)]
        missing = f", as the data set '{spec}' is not at hand" if spec else ""
        return cls.of(generated, subnet.preprocessing, f"{COUNT} generated pictures{missing}")

    @classmethod
    def of(cls, images: Sequence[Tensor], preprocessing: Preprocessing, source: str) -> CheckImages:
        """`COUNT` normalised images from uint8 ``images (3, H, W)``, repeated if there are fewer."""
        repeated = torch.stack([images[i % len(images)] for i in range(COUNT)])
        return cls(preprocessing.normalise(repeated), source)


def generated_pictures(count: int) -> list[Image.Image]:
    """Pictures of coloured waves with noise, always the same."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:64, :64] / 64
    pictures = []
    for _ in range(count):
        down, across, phase = rng.uniform(-12, 12, 3)
        wave = (np.sin(down * rows + across * columns + phase) + 1)[..., None] / 2
        first, second = rng.uniform(0, 255, (2, 3))
        pixels = first * wave + second * (1 - wave) + rng.normal(0, 30, (64, 64, 3))
        pictures.append(Image.fromarray(pixels.clip(0, 255).astype(np.uint8)))
    return pictures


def _of_files(files: Sequence[Path], to_tensor: Any) -> list[Tensor]:
    from nas_peft.data.decoding import DEFAULT_MAX_PIXELS, UnreadableImage, pixel_limit, read_image

    with pixel_limit(DEFAULT_MAX_PIXELS):
        try:
            return [to_tensor(read_image(file, str(file))) for file in files]
        except UnreadableImage as error:
            raise InputError(
                f"image '{error.name}' cannot be decoded: {error.reason}; give another to --images"
            ) from error


def _of_dataset(spec: str, to_tensor: Any) -> list[Tensor]:
    """`COUNT` images of a data set on this machine, evenly over its validation or training set; or none."""
    from nas_peft.data.decoding import UnreadableImage
    from nas_peft.data.source import Reading, list_source
    from nas_peft.data.timm_datasets import is_timm_name

    if is_timm_name(spec):  # might be downloaded
        return []
    try:
        listing = list_source(spec, to_tensor, None, Reading())
    except InputError:
        return []
    items = listing.val or listing.train
    found: list[Tensor] = []
    for index in np.linspace(0, len(items) - 1, min(COUNT, len(items))).astype(int):
        try:
            found.append(items[index].load())
        except UnreadableImage:
            continue
    return found
