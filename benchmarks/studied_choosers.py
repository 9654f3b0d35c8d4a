"""The ways of training a supernet that the study of choosers compares."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from search_spaces import (
    Architecture,
    BackboneShape,
    Budget,
    BudgetSampler,
    SearchSpace,
    count_params,
    range_around,
)
from search_spaces.mixture import MixtureSampler
from supernet import Chooser, Groups, OnePath, OnePerImage, Sandwich, Step

BUDGET = "0.75%"
"""The default budget of ``nas-peft search``, of the backbone's parameters."""
EDGE = 0.05
"""How near to an end of the range the largest and the smallest pass of the sandwich there are."""


@dataclass(frozen=True)
class Samplers:
    """Where architectures are drawn from: the space as it is, around the budget, and flat over log size."""

    space: SearchSpace
    shape: BackboneShape
    low: int
    high: int

    @classmethod
    def of(cls, space: SearchSpace, shape: BackboneShape, backbone_params: int) -> Samplers:
        """The range around the budget is that of a default ``nas-peft search``."""
        limit = Budget.parse(BUDGET, backbone_params=backbone_params).max_params
        return cls(space, shape, *range_around(space, shape, limit))

    @property
    def smallest(self) -> Architecture:
        """The one with fewest parameters that has a module."""
        return min(self.space.smallest_nonempty(), key=lambda a: count_params(a, self.shape))

    def ranges(self) -> dict[str, tuple[int, int]]:
        """Fewest and most parameters of what is trained, by `Way.range`."""
        whole = (count_params(self.smallest, self.shape), count_params(self.space.largest(), self.shape))
        return {"space": whole, "budget": (self.low, self.high)}

    def to_record(self) -> dict[str, Any]:
        """What decides where architectures are drawn from; JSON-able."""
        return {"budget": BUDGET, "ranges": {name: list(ends) for name, ends in self.ranges().items()}}

    def around_budget(self) -> BudgetSampler:
        """Sparse, from 0.4 of the budget to all of it."""
        return BudgetSampler(self.space, self.shape, self.low, self.high)

    def front(self) -> BudgetSampler:
        """Sparse, from the smallest to the largest of the space, flat over the logarithm of the size."""
        return BudgetSampler(self.space, self.shape, *self.ranges()["space"])

    def mixture(self) -> MixtureSampler:
        """Half around the budget, half over the range of the front."""
        return MixtureSampler((self.around_budget(), self.front()))

    def both(self) -> MixtureSampler:
        """Half around the budget, half uniform over the space: what ``nas-peft search`` trains on."""
        return MixtureSampler((self.around_budget(), self.space))


class RangeSandwich:
    """A sandwich in a range of sizes, where no architecture covers all others.

    Each step trains three draws: one from the top of the range (its last `EDGE`), one from the bottom, one
    from all of it. The first learns from the labels, the others from its logits. The supernet's capacity
    would cover them all, but it has many times the budget, and a third of the passes would then train what
    the search never looks at.
    """

    def __init__(self, samplers: Samplers) -> None:
        space, shape, low, high = samplers.space, samplers.shape, samplers.low, samplers.high
        self.draws = (
            BudgetSampler(space, shape, round(high - EDGE * high), high),
            BudgetSampler(space, shape, low, round(low + EDGE * low)),
            samplers.around_budget(),
        )

    def __call__(self, rng: np.random.Generator, batch: int) -> Step:
        return Step(tuple(sampler.sample(rng) for sampler in self.draws), distil=True)


@dataclass(frozen=True)
class Way:
    """One way: what it draws from, passes of an image in each step, and the chooser."""

    range: Literal["space", "budget"]
    passes: int
    chooser: Callable[[Samplers], Chooser]

    def epochs(self, of_one_pass: int) -> int:
        """The epochs with which an image passes the backbone as often as in ``of_one_pass`` single ones."""
        return max(1, round(of_one_pass / self.passes))


def _kinds(samplers: Samplers) -> tuple[str, ...]:
    return samplers.space.largest().kinds


def _sandwich(samplers: Samplers) -> Chooser:
    return Sandwich(samplers.space.sample, samplers.space.largest(), samplers.smallest, random=1)


WAYS: Mapping[str, Way] = {
    "one-path-uniform": Way("space", 1, lambda s: OnePath(s.space.sample)),
    "one-path-budget": Way("budget", 1, lambda s: OnePath(s.around_budget().sample)),
    "sandwich-uniform": Way("space", 3, _sandwich),
    "sandwich-distil-budget": Way("budget", 3, RangeSandwich),
    "one-per-image-uniform": Way("space", 1, lambda s: OnePerImage(s.space.sample, _kinds(s))),
    "groups-of-8-budget": Way("budget", 1, lambda s: Groups(s.around_budget().sample, _kinds(s), 8)),
    "one-per-image-budget": Way("budget", 1, lambda s: OnePerImage(s.around_budget().sample, _kinds(s))),
    "groups-of-8-mixture": Way("space", 1, lambda s: Groups(s.mixture().sample, _kinds(s), 8)),
    "groups-of-8-uniform": Way("space", 1, lambda s: Groups(s.space.sample, _kinds(s), 8)),
    "groups-of-8-both": Way("space", 1, lambda s: Groups(s.both().sample, _kinds(s), 8)),
    "one-per-image-front": Way("space", 1, lambda s: OnePerImage(s.front().sample, _kinds(s))),
}
"""``one-path-uniform`` is NOAH's own (after SPOS); ``groups-of-8-both`` is the default of
``nas-peft search``."""
