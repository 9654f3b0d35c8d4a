"""Evolutionary search over architectures within a budget."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from nas_peft.candidate import Candidate, Proposal
from search_spaces import Architecture, BudgetSampler, SearchSpace, crossover, mutate
from search_spaces.streams import stream

_TRIES = 200  # draws for one new architecture before a small space counts as exhausted


@dataclass(frozen=True)
class Evolution:
    """Proposes generation after generation; knows nothing of networks.

    `propose` is a function of the history and the seed alone, so a search that was stopped goes on as if
    it had not been. The first generation holds the references (each kind alone in every layer at each size
    within the budget) and samples; every later one half mutants and half crossovers of the ``parents``
    best candidates of all generations so far. An architecture is never evaluated twice. After NOAH (arXiv
    2206.04673) and single-path one-shot search (arXiv 1904.00420), with three faults mended: a mutation can
    change any size, a crossover mixes layers, and the last generation counts.

    Args:
        space: what may be chosen.
        fits: whether an architecture is within the budget.
        sampler: draws architectures within the budget.
        references: architectures of the first generation, such as the single methods.
        population: proposals of one generation.
        parents: candidates that later generations descend from.
        mutation_probability: for each size, that a mutation redraws it.
        seed: of all random choices.
    """

    space: SearchSpace
    fits: Callable[[Architecture], bool]
    sampler: BudgetSampler
    references: Sequence[Architecture]
    population: int
    parents: int
    mutation_probability: float
    seed: int

    def propose(self, generation: int, history: Sequence[Candidate]) -> list[Proposal]:
        """The proposals of ``generation`` (from 0) after ``history``; fewer when the space is exhausted."""
        rng = stream(self.seed, "evolution", generation)
        seen = {c.architecture for c in history}
        proposals: list[Proposal] = []

        def add(proposal: Proposal) -> bool:
            a = proposal.architecture
            if a in seen or not a.kinds or not self.fits(a):
                return False
            seen.add(a)
            proposals.append(proposal)
            return True

        if generation == 0:
            for reference in self.references:
                if reference in self.space and len(proposals) < self.population:
                    add(Proposal(reference, "reference"))
        best = sorted(history, key=Candidate.rank_key)[: self.parents]
        while best and len(proposals) < self.population:
            # alternate, so that a generation cut short by a small space has both; one can go on alone
            ways = (self._mutant, self._crossover)
            turn = ways if len(proposals) % 2 == 0 else ways[::-1]
            if not any(add(child(best, rng)) for child in turn for _ in range(_TRIES)):
                break
        while len(proposals) < self.population:
            if not any(add(Proposal(self.sampler.sample(rng), "sample")) for _ in range(_TRIES)):
                break
        return proposals

    def _mutant(self, best: Sequence[Candidate], rng: np.random.Generator) -> Proposal:
        parent = best[int(rng.integers(len(best)))]
        child = mutate(self.space, parent.architecture, rng, self.mutation_probability)
        return Proposal(child, "mutation", (parent.number,))

    def _crossover(self, best: Sequence[Candidate], rng: np.random.Generator) -> Proposal:
        first, second = (best[int(i)] for i in rng.integers(len(best), size=2))
        child = crossover(self.space, first.architecture, second.architecture, rng)
        return Proposal(child, "crossover", (first.number, second.number))
