"""Corruptions that change each pixel by chance."""

from __future__ import annotations

import numpy as np

from nas_peft.corruptions.batch import Generators, Parameters, Pictures, in_floats, stacked


def gaussian_noise(pictures: Pictures, parameters: Parameters, generators: Generators) -> Pictures:
    """Noise of one standard deviation, the only parameter, on every value."""
    (scale,) = parameters
    return in_floats(pictures + scale * _normal(pictures, generators))


def shot_noise(pictures: Pictures, parameters: Parameters, generators: Generators) -> Pictures:
    """Photons counted: Poisson with as many photons in a white pixel as the only parameter says."""
    (photons,) = parameters
    counted = [rng.poisson(x * photons) for x, rng in zip(pictures, generators, strict=True)]
    return stacked(counted) / np.float32(photons)


def impulse_noise(pictures: Pictures, parameters: Parameters, generators: Generators) -> Pictures:
    """Salt and pepper: a share of all values, the only parameter, becomes 0 or 1."""
    (share,) = parameters
    drawn = [rng.random((2, *x.shape), dtype=np.float32) for x, rng in zip(pictures, generators, strict=True)]
    hit, salt = np.stack(drawn, axis=1)
    return np.where(hit < share, (salt < 0.5).astype(np.float32), pictures)


def speckle_noise(pictures: Pictures, parameters: Parameters, generators: Generators) -> Pictures:
    """Noise in proportion to each value; the only parameter is its standard deviation in a white pixel."""
    (scale,) = parameters
    return in_floats(pictures + pictures * scale * _normal(pictures, generators))


def _normal(pictures: Pictures, generators: Generators) -> Pictures:
    return np.stack([rng.standard_normal(pictures.shape[1:], dtype=np.float32) for rng in generators])
