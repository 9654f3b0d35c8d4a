"""Real image files of a known colour, and the smallest honest preprocessing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor


def _to_tensor(image: Image.Image) -> Tensor:
    assert image.mode == "RGB"
    return torch.from_numpy(np.asarray(image.resize((4, 4))).copy()).permute(2, 0, 1).contiguous()


@pytest.fixture
def to_tensor() -> Callable[[Image.Image], Tensor]:
    return _to_tensor


@pytest.fixture
def write_image() -> Callable[..., Path]:
    """Writes an image of one colour, creating folders."""

    def write(
        path: Path, colour: tuple[int, int, int] = (10, 20, 30), size: tuple[int, int] = (6, 5)
    ) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size, colour).save(path)
        return path

    return write


@pytest.fixture
def write_classes(write_image: Callable[..., Path]) -> Callable[[Path, dict[str, int]], None]:
    """Writes class folders with that many PNG files each; no two images of a folder have the same colour."""

    def write(folder: Path, counts: dict[str, int]) -> None:
        for label, (name, count) in enumerate(counts.items()):
            (folder / name).mkdir(parents=True, exist_ok=True)
            for index in range(count):
                write_image(folder / name / f"{index:03}.png", (index, label, 7))

    return write
