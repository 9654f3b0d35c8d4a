"""Search task that every searcher is given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nas_peft.searching.candidate import Candidate, by_params
from nas_peft.searching.robust_ranking import by_loss
from search_spaces import Architecture, SearchSpace
from search_spaces.mixture import Sampler


@dataclass(frozen=True)
class SearchTask:
    """Search space, limit and size of a search.

    Args:
        space: space to search.
        fits: whether an architecture is within the budget; every architecture covered by a fitting one must
            fit.
        sampler: draws architectures within the budget.
        references: architectures to start from, such as the single methods; they need not be members or fit.
        population: proposals in each generation.
        generations: number of generations.
        seed: seed of all random choices; a searcher draws from ``stream(seed, NAME, generation)``.
        cost: cost of a candidate, which a front sets against the loss.
        front: the same task over the whole range of sizes, for searchers that look for a front; everything
            that fits here must fit there too.
        rank: order of candidates, best first; by default by loss.
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
    rank: Callable[[Sequence[Candidate]], list[Candidate]] = by_loss

    @property
    def over_range(self) -> SearchTask:
        """The task over the whole range, or this task if ``front`` is ``None``."""
        return self.front or self
