"""Draws from several samplers in turn at random."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from search_spaces.architecture import Architecture


class Sampler(Protocol):
    """Draws architectures, all randomness coming from the generator that it is given."""

    def sample(self, rng: np.random.Generator) -> Architecture:
        """One architecture."""
        ...


@dataclass(frozen=True)
class MixtureSampler:
    """Each draw comes from one of ``samplers``, every one equally likely.

    Why: a supernet that is to give a front of all sizes and a subnet within one budget is trained on both,
    over the whole range and where the budget lies. Raises ``ValueError`` for no samplers.
    """

    samplers: Sequence[Sampler]

    def __post_init__(self) -> None:
        if not self.samplers:
            raise ValueError("a mixture needs at least one sampler")

    def sample(self, rng: np.random.Generator) -> Architecture:
        """One architecture. All randomness comes from ``rng``."""
        return self.samplers[int(rng.integers(len(self.samplers)))].sample(rng)
