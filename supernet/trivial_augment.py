"""TrivialAugment: one random operation of random strength on each image of a batch."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from supernet.resampling import resampled

OPERATIONS = (
    "identity",
    "shear-x",
    "shear-y",
    "translate-x",
    "translate-y",
    "rotate",
    "brightness",
    "colour",
    "contrast",
    "sharpness",
    "posterize",
    "solarize",
    "autocontrast",
    "equalize",
)
"""The operations of the wide space of TrivialAugment."""

STRENGTHS = 31
"""Number of strengths, evenly spaced from 0 to 1."""

SHEAR = 0.99
TRANSLATION = 32 / 224
"""Largest translation, as a share of the image's side."""
ROTATION = 135.0
"""Largest rotation in degrees."""
CHANGE = 0.99
"""Largest distance from 1 of the factors of brightness, colour, contrast and sharpness."""
LOST_BITS = 6
"""Most bits that posterize removes."""

_GREY = (0.2989, 0.587, 0.114)


def trivial_augment(images: Tensor, operations: Tensor, strengths: Tensor, fill: Tensor) -> Tensor:
    """Apply one operation to each of uint8 ``images (B, 3, H, W)``: TrivialAugment-wide (arXiv 2103.10158).

    Ranges are those of ``torchvision.transforms.v2.TrivialAugmentWide`` with three differences: the largest
    translation is a share of the side, because 32 pixels would move a small image out of sight; shears are
    about the centre; resampling is bilinear.

    Args:
        images: pixels, not normalised.
        operations: int64 ``(B,)``, indices in `OPERATIONS`.
        strengths: float32 ``(B,)`` from -1 to 1; operations without a direction use the absolute value.
        fill: uint8 ``(3,)``, the colour of places outside an image.
    """
    maps, moves = _maps(operations, strengths, images.shape[-2], images.shape[-1])
    x = _changed(images, moves, lambda rows, of: resampled(rows, of, fill), maps)
    for name, operation in _OPERATIONS.items():
        x = _changed(x, operations == OPERATIONS.index(name), operation, strengths)
    return x


def _changed(
    images: Tensor, chosen: Tensor, change: Callable[[Tensor, Tensor], Tensor], values: Tensor
) -> Tensor:
    """``images`` with ``change`` applied to the chosen ones, whose values are given to it.

    On a GPU all images are changed and the chosen ones taken, so that the host need not wait to know them.
    """
    if images.device.type != "cpu":
        return torch.where(chosen[:, None, None, None], change(images, values), images)
    rows = chosen.nonzero()[:, 0]
    return images.index_copy(0, rows, change(images[rows], values[rows])) if len(rows) else images


def _maps(operations: Tensor, strengths: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """The affine map of each image for `resampled`, and whether its operation moves pixels at all."""

    def strength_of(name: str) -> Tensor:
        return torch.where(operations == OPERATIONS.index(name), strengths, 0.0)

    angle = strength_of("rotate") * math.radians(ROTATION)
    cosine, sine = angle.cos(), angle.sin()
    x_row = [cosine, strength_of("shear-x") * SHEAR - sine, strength_of("translate-x") * TRANSLATION * width]
    y_row = [strength_of("shear-y") * SHEAR + sine, cosine, strength_of("translate-y") * TRANSLATION * height]
    first, last = OPERATIONS.index("shear-x"), OPERATIONS.index("rotate")
    moves = (operations >= first) & (operations <= last)
    return torch.stack([torch.stack(x_row, dim=1), torch.stack(y_row, dim=1)], dim=1), moves


def _per_image(values: Tensor) -> Tensor:
    return values[:, None, None, None]


def _blended(pixels: Tensor, plain: Tensor, strengths: Tensor) -> Tensor:
    """``plain`` at factor 0, ``pixels`` at 1, and beyond them."""
    factor = _per_image(1 + CHANGE * strengths)
    return (factor * pixels + (1 - factor) * plain).round().clamp(0, 255).to(torch.uint8)


def _grey(pixels: Tensor) -> Tensor:
    """Grey values ``(B, 1, H, W)`` in whole numbers, so that their sums are exact in any order."""
    red, green, blue = pixels.unbind(1)
    return (_GREY[0] * red + _GREY[1] * green + _GREY[2] * blue).floor()[:, None]


def _brightness(images: Tensor, strengths: Tensor) -> Tensor:
    pixels = images.float()
    return _blended(pixels, torch.zeros_like(pixels), strengths)


def _colour(images: Tensor, strengths: Tensor) -> Tensor:
    pixels = images.float()
    return _blended(pixels, _grey(pixels), strengths)


def _contrast(images: Tensor, strengths: Tensor) -> Tensor:
    pixels = images.float()
    total = _grey(pixels).long().sum((1, 2, 3))
    return _blended(pixels, _per_image(total / (images.shape[-2] * images.shape[-1])), strengths)


def _sharpness(images: Tensor, strengths: Tensor) -> Tensor:
    pixels = images.float()
    kernel = torch.ones(3, 1, 3, 3, device=images.device)
    kernel[:, :, 1, 1] = 5
    smooth = pixels.clone()  # the border remains
    smooth[:, :, 1:-1, 1:-1] = (F.conv2d(pixels, kernel, groups=3) / 13).round()
    return _blended(pixels, smooth, strengths)


def _posterize(images: Tensor, strengths: Tensor) -> Tensor:
    lost = (LOST_BITS * strengths.abs()).round().long()
    return images & _per_image((256 - 2**lost).to(torch.uint8))


def _solarize(images: Tensor, strengths: Tensor) -> Tensor:
    threshold = _per_image(255 * (1 - strengths.abs()))
    return torch.where(images >= threshold, 255 - images, images)


def _autocontrast(images: Tensor, strengths: Tensor) -> Tensor:
    from torchvision.transforms.v2 import functional

    changed: Tensor = functional.autocontrast(images)
    return changed


def _equalize(images: Tensor, strengths: Tensor) -> Tensor:
    from torchvision.transforms.v2 import functional

    changed: Tensor = functional.equalize(images)
    return changed


_OPERATIONS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "brightness": _brightness,
    "colour": _colour,
    "contrast": _contrast,
    "sharpness": _sharpness,
    "posterize": _posterize,
    "solarize": _solarize,
    "autocontrast": _autocontrast,
    "equalize": _equalize,
}
