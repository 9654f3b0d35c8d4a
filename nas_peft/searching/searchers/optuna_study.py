"""Proposals of Optuna's samplers, from a search's history as an in-memory study."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import optuna
from optuna.distributions import CategoricalDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState, create_trial

from nas_peft.searching.candidate import Candidate, Proposal
from nas_peft.searching.searchers.new_proposals import NewProposals, Way
from nas_peft.searching.searchers.task import SearchTask
from search_spaces import Architecture, SearchSpace
from search_spaces.repair import shrink

_TRIES = 16  # a draw takes milliseconds, and known architectures tend to be drawn in a row

Distributions = dict[str, CategoricalDistribution]


def ask_sampler(
    name: str,
    sampler: Callable[[int], BaseSampler],
    objectives: Callable[[Candidate], Sequence[float]],
    task: SearchTask,
    history: Sequence[Candidate],
    rng: np.random.Generator,
) -> list[Proposal]:
    """A generation of proposals from one of Optuna's samplers, newly seeded, given ``history``.

    The study is built from the history at each ask and then discarded, so a resumed search needs nothing but
    its record. The parameters are one categorical for each kind and layer, and one for the depth of a kind
    that has depths. A candidate whose loss is not finite is a failed trial.

    Draws above the budget are repaired (`search_spaces.repair.shrink`) rather than evaluated or reported as
    infeasible. Where members have several times the budget on average, nearly every draw of an untrained
    sampler would be infeasible; a constraint would not say how to repair a draw, and infeasible trials, which
    have no loss, would outnumber the others. The study holds the repaired architecture once it is evaluated.
    After many known draws in a row, samples fill up the generation.

    Args:
        name: origin of the proposals.
        sampler: creates the sampler from a seed below 2**32.
        objectives: values to minimise.
        task: the search task.
        history: candidates so far.
        rng: seeds the sampler and draws the repairs.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        directions=["minimize"] * len(objectives(history[0])), sampler=sampler(int(rng.integers(2**32)))
    )
    distributions = distributions_of(task.space)
    in_order = sorted(history, key=lambda c: c.number)
    study.add_trials([_trial(c, objectives(c), task.space, distributions) for c in in_order])

    def draw() -> Proposal:
        trial = study.ask({**distributions})
        drawn = architecture_of(task.space, trial.params)
        return Proposal(shrink(task.space, drawn, task.fits, rng), name)

    new = NewProposals(task, history)
    _fill(new, draw)
    new.add_samples(rng)
    return new.completed()


def distributions_of(space: SearchSpace) -> Distributions:
    """One categorical for the size of each kind in each layer, and for each depth with a choice."""
    found: Distributions = {}
    for kind, choices in space.kinds:
        layers = space.depth if choices.depths is None else choices.depths[-1]
        for layer in range(layers):
            found[_size_name(kind, layer)] = CategoricalDistribution(choices.sizes)
        if choices.depths is not None:
            found[_depth_name(kind)] = CategoricalDistribution(choices.depths)
    return found


def params_of(space: SearchSpace, a: Architecture) -> dict[str, int]:
    """Optuna parameters that represent the member ``a``.

    Parameters of layers beyond a kind's depth have no effect. They take the size of the last active layer
    (the smallest size if there is none), so that a sampler that makes the kind deeper continues that size.
    """
    found: dict[str, int] = {}
    for kind, choices in space.kinds:
        sizes = a[kind]
        if choices.depths is None:
            found |= {_size_name(kind, layer): size for layer, size in enumerate(sizes)}
            continue
        active = sum(size > 0 for size in sizes)
        rest = sizes[active - 1] if active else choices.sizes[0]
        for layer in range(choices.depths[-1]):
            found[_size_name(kind, layer)] = sizes[layer] if layer < active else rest
        found[_depth_name(kind)] = active
    return found


def architecture_of(space: SearchSpace, params: dict[str, Any]) -> Architecture:
    """The member that Optuna parameters represent."""
    sizes = []
    for kind, choices in space.kinds:
        active = space.depth if choices.depths is None else int(params[_depth_name(kind)])
        drawn = tuple(int(params[_size_name(kind, layer)]) for layer in range(active))
        sizes.append((kind, drawn + (0,) * (space.depth - active)))
    return Architecture(space.depth, tuple(sizes))


def finite(history: Sequence[Candidate]) -> int:
    """The number of candidates with a finite loss."""
    return sum(math.isfinite(c.loss) for c in history)


def first_population(
    task: SearchTask, history: Sequence[Candidate], rng: np.random.Generator
) -> list[Proposal]:
    """The first generation for a sampler to learn from: references and samples around the budget, as in
    `Evolution`.

    Optuna's own first trials are uniform over sizes, several times the budget on average.
    """
    new = NewProposals(task, history)
    new.add_references()
    new.add_samples(rng)
    return new.completed()


def _fill(new: NewProposals, draw: Way) -> None:
    while not new.full and new.add_one(draw, tries=_TRIES):
        pass


def _trial(
    c: Candidate, values: Sequence[float], space: SearchSpace, distributions: Distributions
) -> FrozenTrial:
    known = math.isfinite(c.loss)
    return create_trial(
        state=TrialState.COMPLETE if known else TrialState.FAIL,
        values=list(values) if known else None,
        params=params_of(space, c.architecture),
        distributions={**distributions},
        user_attrs={"generation": c.generation},
    )


def _size_name(kind: str, layer: int) -> str:
    return f"layer{layer:02d}.{kind}"


def _depth_name(kind: str) -> str:
    return f"depth.{kind}"
