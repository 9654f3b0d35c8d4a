"""Which architectures a training step trains."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias

import numpy as np

from search_spaces import Architecture
from supernet.architecture_batch import ArchitectureBatch

Draw: TypeAlias = Callable[[np.random.Generator], Architecture]
"""Draws one architecture, such as ``SearchSpace.sample`` or ``BudgetSampler.sample``."""


class Chooser(Protocol):
    """Says what a step on ``batch`` images trains; all randomness comes from ``rng``."""

    def __call__(self, rng: np.random.Generator, batch: int) -> Architecture | ArchitectureBatch:
        """One architecture for the whole batch, or one for each of its images."""


class Constant:
    """The same architecture in every step: retraining."""

    def __init__(self, architecture: Architecture) -> None:
        self.architecture = architecture

    def __call__(self, rng: np.random.Generator, batch: int) -> Architecture:
        return self.architecture


class OnePath:
    """One random architecture for all images of a step: NOAH's way, from SPOS (arXiv 1904.00420)."""

    def __init__(self, draw: Draw) -> None:
        self.draw = draw

    def __call__(self, rng: np.random.Generator, batch: int) -> Architecture:
        return self.draw(rng)


class OnePerImage:
    """One random architecture for each image of a step.

    A step then averages the gradient over ``batch`` architectures for about a fifth more time than one path,
    which gave better inherited accuracy and ranking after equal epochs (see docs/log.md).
    """

    def __init__(self, draw: Draw, kinds: tuple[str, ...]) -> None:
        self.draw = draw
        self.kinds = kinds

    def __call__(self, rng: np.random.Generator, batch: int) -> ArchitectureBatch:
        return ArchitectureBatch.of([self.draw(rng) for _ in range(batch)], self.kinds)
