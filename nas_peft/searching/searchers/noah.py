"""NOAH's search as published and released by its authors."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from nas_peft.searching.candidate import Candidate, Proposal
from nas_peft.searching.searchers.evolution import require_breeding
from nas_peft.searching.searchers.new_proposals import NewProposals, Way
from nas_peft.searching.searchers.searcher import Searcher
from nas_peft.searching.searchers.task import SearchTask
from search_spaces import Architecture, InputError, crossover, mutate
from search_spaces.streams import stream

_FEASIBILITY_DRAWS = 1_000
_UNIFORM_TRIES = 5_000  # per proposal: several times what a space that passes the check above needs


@dataclass(frozen=True)
class Noah(Searcher):
    """The evolution of NOAH (Zhang, Zhou, Liu 2022, arXiv 2206.04673), with a switch for each quirk, all on.

    A generation is half mutants and half crossovers of the best candidates so far, each half limited to ten
    times as many draws, and filled up with uniform draws from the space; the first generation is uniform
    draws alone. Architectures above the budget are discarded, and none is evaluated twice. The paper has 50
    proposals in a generation and 10 parents, as ``--population 50`` gives; other populations keep the ratio.
    Its 15 generations come after a first population: ``--generations 16``.

    One quirk is not repeated: the limit here applies to a subnet's actual parameters, while the released code
    also counts a dead block (`search_spaces.count_params_noah`).

    Args:
        task: the search task.
        parents: number of candidates that later generations descend from; by default a fifth of the
            population.
        mutation_probability: probability that a mutation touches a kind (without ``depth_only_mutation``, a
            size).
        depth_probability: probability that a touched kind's depth is redrawn; otherwise the touch does
            nothing.
        depth_only_mutation: mutations redraw depths only; newly active layers draw a size, and layers that
            stay keep theirs. Needs a space in which every kind has depths. Off: any size and any depth may
            change, as in `Evolution`.
        whole_kind_crossover: a child takes each kind whole from either parent. Off: layers mix.
        discard_last_generation: the last generation is evaluated but never chosen from. Off: it counts.
        rank_by_accuracy: rank by accuracy, the earlier candidate first among equals. Off: by loss.
        uniform_samples: draws are uniform over sizes and depths, and discarded if above the budget. Off: the
            references come first and draws lie around the budget, as in `Evolution`.

    Raises `InputError` for probabilities outside [0, 1], no parents, a space or budget that a switch cannot
    work with, and a depth probability without depth-only mutation.
    """

    task: SearchTask
    parents: int | None = None
    mutation_probability: float = 0.2
    depth_probability: float = 0.4
    depth_only_mutation: bool = True
    whole_kind_crossover: bool = True
    discard_last_generation: bool = True
    rank_by_accuracy: bool = True
    uniform_samples: bool = True

    def __post_init__(self) -> None:
        parents = max(1, round(self.task.population / 5)) if self.parents is None else self.parents
        object.__setattr__(self, "parents", parents)
        require_breeding(
            parents,
            mutation_probability=self.mutation_probability,
            depth_probability=self.depth_probability,
        )
        space = self.task.space
        free = [kind for kind, choices in space.kinds if choices.depths is None]
        if self.depth_only_mutation and free:
            raise InputError(
                f"the searcher 'noah' mutates depths only, and in the space '{space.name}' these kinds have "
                f"none: {', '.join(free)}; give --space noah-vtab or noah-fewshot, or "
                "--searcher-options depth_only_mutation=false"
            )
        if not self.depth_only_mutation and self.depth_probability != type(self).depth_probability:
            raise InputError(
                f"depth_probability is {self.depth_probability}, which only depth_only_mutation reads, and "
                "that is off; leave one of the two out"
            )
        if self.discard_last_generation and self.task.generations < 2:
            raise InputError(
                "the searcher 'noah' discards its last generation, and there is only one; give "
                "--generations 2 or more, or --searcher-options discard_last_generation=false"
            )
        if self.uniform_samples:
            rng = stream(self.task.seed, "noah", "feasibility")
            if not any(self.task.fits(space.sample(rng)) for _ in range(_FEASIBILITY_DRAWS)):
                raise InputError(
                    f"of {_FEASIBILITY_DRAWS:,} uniform draws from the space '{space.name}', as the searcher "
                    "'noah' makes them, none is within the budget; raise the budget, or give "
                    "--searcher-options uniform_samples=false"
                )

    def ask(self, generation: int, history: Sequence[Candidate]) -> list[Proposal]:
        """See `Searcher.ask`."""
        rng = stream(self.task.seed, "noah", generation)
        new = NewProposals(self.task, history)
        best = self._in_order(history)[: self.parents]
        if best and self.task.space.cardinality() > 1:
            mutants = self.task.population // 2
            _add(new, lambda: self._mutant(best, rng), mutants)
            _add(new, lambda: self._crossover(best, rng), self.task.population - mutants)
        if self.uniform_samples:
            way = _uniform(self.task, rng)
            while not new.full and new.add_one(way, tries=_UNIFORM_TRIES):
                pass
        else:
            if generation == 0:
                new.add_references()
            new.add_samples(rng)
        return new.completed()

    @property
    def compares_accuracies(self) -> bool:
        """Whether candidates are ranked by accuracy, as published."""
        return self.rank_by_accuracy

    def ranked(self, history: Sequence[Candidate]) -> list[Candidate]:
        """Candidates in the order that the switches give.

        Excludes the run's last generation if that is discarded.
        """
        last = self.task.generations - 1 if self.discard_last_generation else math.inf
        return [c for c in self._in_order(history) if c.generation < last]

    def _in_order(self, history: Sequence[Candidate]) -> list[Candidate]:
        return sorted(history, key=_accuracy_key if self.rank_by_accuracy else Candidate.rank_key)

    def _mutant(self, best: Sequence[Candidate], rng: np.random.Generator) -> Proposal:
        parent = best[int(rng.integers(len(best)))]
        if self.depth_only_mutation:
            child = self._depth_mutant(parent.architecture, rng)
        else:
            child = mutate(self.task.space, parent.architecture, rng, self.mutation_probability)
        return Proposal(child, "mutation", (parent.number,))

    def _depth_mutant(self, a: Architecture, rng: np.random.Generator) -> Architecture:
        space = self.task.space
        sizes = []
        for kind, choices in space.kinds:
            active = sum(size > 0 for size in a[kind])
            new = active
            touched = rng.random() < self.mutation_probability
            if touched and choices.depths is not None and rng.random() < self.depth_probability:
                new = choices.depths[int(rng.integers(len(choices.depths)))]
            fresh = rng.integers(len(choices.sizes), size=max(0, new - active)).tolist()
            kept = a[kind][: min(active, new)]
            sizes.append((kind, (*kept, *(choices.sizes[i] for i in fresh), *(0,) * (space.depth - new))))
        return Architecture(space.depth, tuple(sizes))

    def _crossover(self, best: Sequence[Candidate], rng: np.random.Generator) -> Proposal:
        space = self.task.space
        first, second = (best[int(i)] for i in rng.integers(len(best), size=2))
        if self.whole_kind_crossover:
            donors = [(first, second)[int(i)] for i in rng.integers(2, size=len(space.kinds))]
            sizes = [(kind, d.architecture[kind]) for (kind, _), d in zip(space.kinds, donors, strict=True)]
            child = Architecture(space.depth, tuple(sizes))
        else:
            child = crossover(space, first.architecture, second.architecture, rng)
        return Proposal(child, "crossover", (first.number, second.number))


def _add(new: NewProposals, way: Way, count: int) -> None:
    """Add up to ``count`` proposals of ``way`` in ten times as many draws, as the released code does."""
    kept = 0
    for _ in range(10 * count):
        if kept == count:
            return
        kept += new.add(way())


def _uniform(task: SearchTask, rng: np.random.Generator) -> Callable[[], Proposal]:
    return lambda: Proposal(task.space.sample(rng), "sample")


def _accuracy_key(c: Candidate) -> tuple[bool, float, int]:
    """Sort key: higher accuracy first, then the earlier candidate; overflowed losses come last.

    Without a finite loss, an accuracy means nothing.
    """
    return (math.isinf(c.loss), -c.accuracy, c.number)
