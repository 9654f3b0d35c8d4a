"""A cloudy map by the diamond-square algorithm."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nas_peft.corruptions.batch import in_floats


def plasma(side: int, decay: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """A square map ``(side, side)`` of clouds, values from 0 to 1.

    The map is filled from coarse to fine: each new point is the mean of its four neighbours plus a random
    offset, whose size is divided by ``decay`` from one level to the next. Neighbours beyond an edge are those
    at the opposite edge. The map is computed on the next power of two and cut.
    """
    whole = 1 << (side - 1).bit_length()
    points = np.zeros((whole, whole))
    step, size = whole, 100.0
    while step >= 2:
        half = step // 2

        def offset(shape: tuple[int, ...], size: float = size) -> NDArray[np.float64]:
            return size * rng.uniform(-size, size, shape)

        corners = points[::step, ::step]
        across = corners + np.roll(corners, -1, axis=0)
        middles = (across + np.roll(across, -1, axis=1)) / 4
        points[half::step, half::step] = middles + offset(middles.shape)
        middles = points[half::step, half::step]
        above = middles + np.roll(middles, 1, axis=0) + corners + np.roll(corners, -1, axis=1)
        points[::step, half::step] = above / 4 + offset(above.shape)
        beside = middles + np.roll(middles, 1, axis=1) + corners + np.roll(corners, -1, axis=0)
        points[half::step, ::step] = beside / 4 + offset(beside.shape)
        step, size = half, size / decay
    points -= points.min()
    return in_floats((points / points.max())[:side, :side])
