"""Pictures much larger than the backbone's are noticed."""

from __future__ import annotations

import pytest
import torch
from PIL import Image

from nas_peft.data.picture_sizes import PictureSizes


@pytest.mark.parametrize(
    ("sides", "seen", "usual"),
    [
        ([(400, 300)], (32, 32), "300x400"),
        ([(400, 300), (64, 64), (500, 400)], (32, 32), "300x400"),
        ([(64, 64)], (32, 32), "64x64"),
        ([(63, 64)], (32, 32), None),
        ([(8, 8), (400, 300), (8, 8)], (32, 32), None),
        ([(400, 300)], (224, 224), None),
        ([], (32, 32), None),
    ],
)
def test_the_median_size_of_large_pictures(
    sides: list[tuple[int, int]], seen: tuple[int, int], usual: str | None
):
    sizes = PictureSizes(lambda image: torch.zeros(3, 1, 1))
    for width, height in sides:
        assert sizes.to_tensor(Image.new("RGB", (width, height))).shape == (3, 1, 1)
    assert sizes.shrunk(*seen) == usual
