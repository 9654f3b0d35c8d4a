"""Evolutionary search over architectures within a budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nas_peft.candidate import Candidate, Proposal
from nas_peft.searchers.new_proposals import NewProposals
from nas_peft.searchers.searcher import Searcher
from nas_peft.searchers.task import SearchTask
from search_spaces import InputError, crossover, mutate
from search_spaces.streams import stream


@dataclass(frozen=True)
class Evolution(Searcher):
    """Breeds from the best of all candidates so far: the default.

    The first generation holds the references (each kind alone in every layer at each size within the budget,
    the largest first) and samples; every later one half mutants and half crossovers of the best candidates
    of all generations so far, by validation loss. After NOAH (arXiv 2206.04673) and single-path one-shot
    search (arXiv 1904.00420), with three faults mended: a mutation can change any size, a crossover mixes
    layers, and the last generation counts.

    Args:
        task: what is searched.
        parents: candidates that later generations descend from.
        mutation_probability: for each size, that a mutation redraws it.

    Raises `InputError` for no parents and a probability outside [0, 1].
    """

    task: SearchTask
    parents: int = 8
    mutation_probability: float = 0.1

    def __post_init__(self) -> None:
        require_breeding(self.parents, mutation_probability=self.mutation_probability)

    def ask(self, generation: int, history: Sequence[Candidate]) -> list[Proposal]:
        """See `Searcher.ask`."""
        rng = stream(self.task.seed, "evolution", generation)
        new = NewProposals(self.task, history)
        if generation == 0:
            new.add_references()
        best = self.ranked(history)[: self.parents]
        if self.task.space.cardinality() == 1:
            best = []  # nothing can change
        while best and not new.full:
            # alternate, so that a generation cut short by a small space has both; one can go on alone
            ways = (lambda: self._mutant(best, rng), lambda: self._crossover(best, rng))
            if not new.add_one(*(ways if len(new) % 2 == 0 else ways[::-1])):
                break
        new.add_samples(rng)
        return new.completed()

    def _mutant(self, best: Sequence[Candidate], rng: np.random.Generator) -> Proposal:
        parent = best[int(rng.integers(len(best)))]
        child = mutate(self.task.space, parent.architecture, rng, self.mutation_probability)
        return Proposal(child, "mutation", (parent.number,))

    def _crossover(self, best: Sequence[Candidate], rng: np.random.Generator) -> Proposal:
        first, second = (best[int(i)] for i in rng.integers(len(best), size=2))
        child = crossover(self.task.space, first.architecture, second.architecture, rng)
        return Proposal(child, "crossover", (first.number, second.number))


def require_breeding(parents: int, **probabilities: float) -> None:
    """Raise `InputError` for no parents and for a named probability outside [0, 1]."""
    if parents < 1:
        raise InputError(f"parents is {parents}; give a whole number from 1 up")
    for name, probability in probabilities.items():
        if not 0 <= probability <= 1:
            raise InputError(f"{name} is {probability}; give a number from 0 to 1")
