"""A sampler that picks one of several samplers at random for each draw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from search_spaces.architecture import Architecture


class Sampler(Protocol):
    """Draws architectures; all randomness comes from the generator passed in."""

    def sample(self, rng: np.random.Generator) -> Architecture:
        """One architecture."""
        ...


@dataclass(frozen=True)
class MixtureSampler:
    """Picks one of ``samplers`` for each draw, all with equal probability.

    A supernet that must provide both a front over all sizes and a subnet within one budget is trained on
    both, over the whole range and around the budget. Raises ``ValueError`` for no samplers.
    """

    samplers: Sequence[Sampler]

    def __post_init__(self) -> None:
        if not self.samplers:
            raise ValueError("a mixture needs at least one sampler")

    def sample(self, rng: np.random.Generator) -> Architecture:
        """One architecture. All randomness comes from ``rng``."""
        return self.samplers[int(rng.integers(len(self.samplers)))].sample(rng)
