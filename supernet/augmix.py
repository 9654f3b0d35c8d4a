"""AugMix: an image mixed with versions of itself that went through short chains of mild operations."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from supernet.trivial_augment import (
    LOST_BITS,
    OPERATIONS,
    ROTATION,
    SHEAR,
    TRANSLATION,
    trivial_augment,
)

CHAINS = 3
DEPTH = 3
"""Most operations in a chain; each has one, two or three with equal chances."""

LEVELS = (0.01, 0.3)
"""Share of the full range of an operation that is drawn from: severity 3 of 10."""

_DIRECTIONS = ("shear-x", "shear-y", "translate-x", "translate-y", "rotate")
MIXED_OPERATIONS = (*_DIRECTIONS, "posterize", "solarize", "autocontrast", "equalize")
"""The operations of the chains; no corruption of ImageNet-C is among them, as brightness and contrast are."""

# full ranges of AugMix in those of TrivialAugment: shears by 0.3, shifts by a third of the side, 30 degrees
_SCALES = {
    "shear-x": 0.3 / SHEAR,
    "shear-y": 0.3 / SHEAR,
    "translate-x": 1 / 3 / TRANSLATION,
    "translate-y": 1 / 3 / TRANSLATION,
    "rotate": 30.0 / ROTATION,
    "solarize": 1.0,
}
_KEPT_BITS = 4
"""Bits that posterize keeps at the weakest; the full range loses all of them."""


def draw_chains(images: int, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """The draws of an epoch for ``images`` images.

    Returns indices in `OPERATIONS` and strengths, both ``(N, CHAINS, DEPTH)``, and shares
    ``(N, 1 + CHAINS)`` of the image itself and of each chain, whose sum is 1: the image's is uniform, and
    those of the chains are a Dirichlet(1, ..., 1) of the rest.
    """
    size = (images, CHAINS, DEPTH)
    drawn = rng.integers(len(MIXED_OPERATIONS), size=size)
    names = np.array([OPERATIONS.index(name) for name in MIXED_OPERATIONS])
    lengths = rng.integers(1, DEPTH + 1, size=(images, CHAINS, 1))
    operations = np.where(np.arange(DEPTH) < lengths, names[drawn], OPERATIONS.index("identity"))
    levels = rng.uniform(*LEVELS, size=size)
    signs = rng.choice((-1.0, 1.0), size=size)
    scales = np.array([_SCALES.get(name, 1.0) for name in MIXED_OPERATIONS])[drawn]
    strengths = signs * levels * scales
    lost = (8 - _KEPT_BITS + np.floor(_KEPT_BITS * levels)) / LOST_BITS
    strengths = np.where(operations == OPERATIONS.index("posterize"), lost, strengths)
    own = rng.uniform(size=(images, 1))
    shares = np.concatenate([own, (1 - own) * rng.dirichlet(np.ones(CHAINS), size=images)], axis=1)
    return torch.from_numpy(operations), torch.from_numpy(strengths).float(), torch.from_numpy(shares).float()


def augmix(images: Tensor, operations: Tensor, strengths: Tensor, shares: Tensor, fill: Tensor) -> Tensor:
    """Mix uint8 ``images (B, 3, H, W)`` with their chains: AugMix (arXiv 1912.02781).

    The published loss over three versions of each image is left out, because it triples the cost of a step.
    ``operations``, ``strengths`` and ``shares`` are the rows of `draw_chains`; ``fill`` is the uint8 colour
    ``(3,)`` of places outside an image.
    """
    mixed = shares[:, 0, None, None, None] * images
    for chain in range(CHAINS):
        x = images
        for step in range(DEPTH):
            x = trivial_augment(x, operations[:, chain, step], strengths[:, chain, step], fill)
        mixed = mixed + shares[:, 1 + chain, None, None, None] * x
    return mixed.round().clamp(0, 255).to(torch.uint8)
