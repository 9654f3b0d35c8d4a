"""What is searched, for any searcher."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from search_spaces import Architecture, BudgetSampler, SearchSpace


@dataclass(frozen=True)
class SearchTask:
    """Where a searcher looks and how much it may ask for.

    Args:
        space: what may be chosen.
        fits: whether an architecture is within the budget. What a fitting one covers must fit too.
        sampler: draws architectures within the budget.
        references: architectures to start from, such as the single methods; they need not be members or fit.
        population: proposals of one generation.
        generations: how many there will be.
        seed: of all random choices; a searcher draws from ``stream(seed, NAME, generation)``.
    """

    space: SearchSpace
    fits: Callable[[Architecture], bool]
    sampler: BudgetSampler
    references: Sequence[Architecture]
    population: int
    generations: int
    seed: int
