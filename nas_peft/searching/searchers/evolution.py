"""Evolutionary search over architectures within a budget."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np

from nas_peft.searching.candidate import Candidate, Proposal
from nas_peft.searching.pareto import best_layers
from nas_peft.searching.searchers.new_proposals import NewProposals, Way
from nas_peft.searching.searchers.searcher import Searcher
from nas_peft.searching.searchers.task import SearchTask
from search_spaces import InputError, crossover, mutate
from search_spaces.streams import stream


@dataclass(frozen=True)
class Evolution(Searcher):
    """Breeds from the best candidates so far; the default searcher.

    The first generation holds the references (each kind alone in every layer at each size within the budget,
    the largest first) and samples; every later generation is half mutants and half crossovers. Every other
    child stays within the budget, with parents among the best candidates within the budget of all generations
    so far. The other children extend the front, with parents on the front (and on the fronts of the rest,
    until there are enough). After NOAH (arXiv 2206.04673) and single-path one-shot search (arXiv 1904.00420),
    with three faults corrected: a mutation can change any size, a crossover mixes layers, and the last
    generation counts.

    Args:
        task: the search task.
        parents: number of candidates that later generations descend from.
        mutation_probability: probability that a mutation redraws a size.

    Raises `InputError` for no parents and for a probability outside [0, 1].
    """

    searches_front: ClassVar[bool] = True
    task: SearchTask
    parents: int = 8
    mutation_probability: float = 0.1

    def __post_init__(self) -> None:
        require_breeding(self.parents, mutation_probability=self.mutation_probability)

    def ask(self, generation: int, history: Sequence[Candidate]) -> list[Proposal]:
        """See `Searcher.ask`."""
        rng = stream(self.task.seed, "evolution", generation)
        new = NewProposals(self.task.over_range, history)
        if generation == 0:
            new.add_references()
        for ways in itertools.cycle(self._ways(history, rng)):
            if new.full or not new.add_one(*ways):
                break
        new.add_samples(rng)
        return new.completed()

    def _ways(self, history: Sequence[Candidate], rng: np.random.Generator) -> list[tuple[Way, ...]]:
        """Ways to make children, in turn, each followed by its fallbacks for when it makes nothing new.

        Mutants and crossovers alternate, so that a generation cut short by a small space has both.
        """
        task = self.task
        if not history or task.space.cardinality() == 1:
            return []  # nothing can change
        within = task.rank([c for c in history if task.fits(c.architecture)])[: self.parents]
        pools = [(within, task)] if within else []
        if task.front:
            pools.append((best_layers(history, task.cost, self.parents), task.front))
        ways: list[tuple[Way, ...]] = []
        for parents, of in pools:
            if parents:
                mutant = partial(self._mutant, parents, of, rng)
                bred = partial(self._crossover, parents, of, rng)
                ways += [(mutant, bred), (bred, mutant)]
        # in a small space one pool may be exhausted while the other is not
        return [(*first, *(way for rest in ways if rest is not first for way in rest)) for first in ways]

    def _mutant(
        self, parents: Sequence[Candidate], task: SearchTask, rng: np.random.Generator
    ) -> Proposal | None:
        parent = parents[int(rng.integers(len(parents)))]
        child = mutate(task.space, parent.architecture, rng, self.mutation_probability)
        return Proposal(child, "mutation", (parent.number,)) if task.fits(child) else None

    def _crossover(
        self, parents: Sequence[Candidate], task: SearchTask, rng: np.random.Generator
    ) -> Proposal | None:
        first, second = (parents[int(i)] for i in rng.integers(len(parents), size=2))
        child = crossover(task.space, first.architecture, second.architecture, rng)
        return Proposal(child, "crossover", (first.number, second.number)) if task.fits(child) else None


def require_breeding(parents: int, **probabilities: float) -> None:
    """Raise `InputError` for no parents and for a named probability outside [0, 1]."""
    if parents < 1:
        raise InputError(f"parents is {parents}; give a whole number from 1 up")
    for name, probability in probabilities.items():
        if not 0 <= probability <= 1:
            raise InputError(f"{name} is {probability}; give a number from 0 to 1")
