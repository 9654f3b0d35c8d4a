"""Moves of pixels: enlargement about the centre, and the smear of a moving camera."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional


def enlarged(layers: NDArray[np.float32], factor: float) -> NDArray[np.float32]:
    """Layers ``(..., H, W)`` enlarged about their centre and cut to their size.

    The middle ``ceil(side / factor)`` pixels are enlarged linearly, and the middle of the result is kept.
    """
    height, width = layers.shape[-2:]
    rows, columns = math.ceil(height / factor), math.ceil(width / factor)
    top, left = (height - rows) // 2, (width - columns) // 2
    middle = layers[..., top : top + rows, left : left + columns]
    planes = torch.from_numpy(np.ascontiguousarray(middle)).reshape(1, -1, *middle.shape[-2:])
    size = (round(rows * factor), round(columns * factor))
    # corners stay at corners, as in the published sets
    larger = functional.interpolate(planes, size, mode="bilinear", align_corners=True)[0].numpy()
    larger = larger.reshape(*layers.shape[:-2], *size)
    top, left = (larger.shape[-2] - height) // 2, (larger.shape[-1] - width) // 2
    return larger[..., top : top + height, left : left + width]


def smeared(layer: NDArray[np.float32], radius: int, sigma: float, degrees: float) -> NDArray[np.float32]:
    """A layer ``(H, W, ...)`` with each pixel the mean of pixels along a line from it.

    The line has ``2 · radius + 1`` pixels in the direction ``degrees``, rounded to whole pixels, and their
    weights fall as one side of a Gaussian of width ``sigma``: the motion blur of ImageMagick, which the
    published sets were made with. Pixels beyond the edge are those of the edge.
    """
    steps = np.arange(2 * radius + 1)
    weights = np.exp(-(steps**2) / (2 * sigma**2))
    weights /= weights.sum()
    angle = math.radians(degrees)
    down = np.ceil(steps * math.sin(angle) - 0.5).astype(int)
    right = np.ceil(steps * math.cos(angle) - 0.5).astype(int)
    height, width = layer.shape[:2]
    found = np.zeros_like(layer)
    for y, x, weight in zip(down, right, weights, strict=True):
        rows = (np.arange(height) + y).clip(0, height - 1)
        columns = (np.arange(width) + x).clip(0, width - 1)
        found += np.float32(weight) * layer[rows[:, None], columns]
    return found
