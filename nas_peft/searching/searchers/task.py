"""The search task, for any searcher."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nas_peft.searching.candidate import Candidate, by_params
from search_spaces import Architecture, SearchSpace
from search_spaces.mixture import Sampler


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
        cost: of a candidate, what a front sets against the loss.
        front: the same task over the whole range of sizes, for searchers that look for a front; what fits
            there contains what fits here.
    """

    space: SearchSpace
    fits: Callable[[Architecture], bool]
    sampler: Sampler
    references: Sequence[Architecture]
    population: int
    generations: int
    seed: int
    cost: Callable[[Candidate], float] = by_params
    front: SearchTask | None = None

    @property
    def over_range(self) -> SearchTask:
        """The task over the whole range; this one where there is no other."""
        return self.front or self
