"""Corruptions that blur."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from nas_peft.corruptions.batch import Generators, Parameters, Pictures, bytes_of, floats_of, in_floats
from nas_peft.corruptions.geometry import enlarged, smeared


def gaussian_blur(pictures: Pictures, parameters: Parameters, generators: Generators) -> Pictures:
    """Blur by a Gaussian, whose width in pixels is the only parameter."""
    (sigma,) = parameters
    return _blurred(pictures, sigma)


def defocus_blur(pictures: Pictures, parameters: Parameters, generators: Generators) -> Pictures:
    """Blur by a disc, as a lens out of focus does.

    The parameters are the disc's radius in pixels and the width of the Gaussian that smooths its edge.
    """
    from scipy.ndimage import gaussian_filter

    radius, smooth = parameters
    reach = max(8, int(radius))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disc = (x**2 + y**2 <= radius**2).astype(np.float32)
    # the published kernel is 3 pixels wide up to a radius of 8, and 5 beyond
    disc = gaussian_filter(disc / disc.sum(), smooth, radius=1 if radius <= 8 else 2)
    inside = np.flatnonzero(disc.any(axis=0))
    disc = np.ascontiguousarray(disc[inside[0] : inside[-1] + 1, inside[0] : inside[-1] + 1])
    margin = len(disc) // 2
    planes = torch.from_numpy(pictures).permute(0, 3, 1, 2).flatten(0, 1)[:, None]
    padded = functional.pad(planes, (margin,) * 4, mode="reflect")
    blurred = functional.conv2d(padded, torch.from_numpy(disc)[None, None])
    return in_floats(blurred.view(len(pictures), 3, *pictures.shape[1:3]).permute(0, 2, 3, 1).numpy())


def glass_blur(pictures: Pictures, parameters: Parameters, generators: Generators) -> Pictures:
    """A view through frosted glass: blur, pixels that swap places with near ones, and blur.

    The parameters are the width of the blur, the largest distance of a swap in pixels, and how often all
    pixels are visited.
    """
    sigma, reach, rounds = parameters
    found = bytes_of(_blurred(pictures, sigma))
    count, height, width = found.shape[:3]
    rows, columns = range(height - reach - 1, reach, -1), range(width - reach - 1, reach, -1)
    each = np.arange(count)
    for _ in range(rounds):
        moves = np.stack(
            [rng.integers(-reach, reach, (len(rows), len(columns), 2)) for rng in generators], -1
        )
        for i, y in enumerate(rows):
            for j, x in enumerate(columns):
                other_y, other_x = y + moves[i, j, 0], x + moves[i, j, 1]
                here = found[:, y, x].copy()
                found[:, y, x] = found[each, other_y, other_x]
                found[each, other_y, other_x] = here
    return _blurred(floats_of(found), sigma)


def motion_blur(pictures: Pictures, parameters: Parameters, generators: Generators) -> Pictures:
    """The smear of a moving camera, in a direction up to 45 degrees from the horizontal.

    The parameters are the radius of the smear in pixels and the width of its Gaussian.
    """
    radius, sigma = parameters
    angles = [rng.uniform(-45, 45) for rng in generators]
    return np.stack([smeared(x, radius, sigma, degrees) for x, degrees in zip(pictures, angles, strict=True)])


def zoom_blur(pictures: Pictures, parameters: Parameters, generators: Generators) -> Pictures:
    """The mean of the picture and of enlargements of it, as of a lens that zooms during the exposure.

    The parameters are the end of the range of factors, which begins at 1 and leaves the end out, and its
    step.
    """
    end, step = parameters
    layers = np.moveaxis(pictures, -1, 1)
    factors = np.arange(1, end, step)
    total = layers.copy()
    for factor in factors:
        total += enlarged(layers, float(factor))
    return np.moveaxis(total / np.float32(len(factors) + 1), 1, -1)


def _blurred(pictures: Pictures, sigma: float) -> NDArray[np.float32]:
    from scipy.ndimage import gaussian_filter

    blurred: NDArray[np.float32] = gaussian_filter(pictures, (0, sigma, sigma, 0), mode="nearest")
    return blurred
