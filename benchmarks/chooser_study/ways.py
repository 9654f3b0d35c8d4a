"""Ways of training a supernet that the study of choosers compares."""

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
"""Default budget of ``nas-peft search``, as a share of the parameters of the backbone."""
EDGE = 0.05
"""Share of an end of the range within which `RangeSandwich` draws its largest and smallest pass."""


@dataclass(frozen=True)
class Samplers:
    """Samplers of architectures: uniform over the space, around the budget, and flat over log size.

    ``low`` and ``high`` are the fewest and most parameters of the range around the budget.
    """

    space: SearchSpace
    shape: BackboneShape
    low: int
    high: int

    @classmethod
    def of(cls, space: SearchSpace, shape: BackboneShape, backbone_params: int) -> Samplers:
        """Samplers with the range around the budget of a default ``nas-peft search``."""
        limit = Budget.parse(BUDGET, backbone_params=backbone_params).max_params
        return cls(space, shape, *range_around(space, shape, limit))

    @property
    def smallest(self) -> Architecture:
        """Architecture with the fewest parameters that has a module."""
        return min(self.space.smallest_nonempty(), key=lambda a: count_params(a, self.shape))

    def ranges(self) -> dict[str, tuple[int, int]]:
        """Fewest and most parameters of the trained architectures, by `Way.range`."""
        whole = (count_params(self.smallest, self.shape), count_params(self.space.largest(), self.shape))
        return {"space": whole, "budget": (self.low, self.high)}

    def to_record(self) -> dict[str, Any]:
        """Budget and ranges, which decide the samplers; JSON-able."""
        return {"budget": BUDGET, "ranges": {name: list(ends) for name, ends in self.ranges().items()}}

    def around_budget(self) -> BudgetSampler:
        """Sampler of sparse architectures from 0.4 of the budget to all of it."""
        return BudgetSampler(self.space, self.shape, self.low, self.high)

    def front(self) -> BudgetSampler:
        """Sampler of sparse architectures of all sizes, flat over the logarithm of the size."""
        return BudgetSampler(self.space, self.shape, *self.ranges()["space"])

    def mixture(self) -> MixtureSampler:
        """Sampler that draws half around the budget and half over all sizes."""
        return MixtureSampler((self.around_budget(), self.front()))

    def both(self) -> MixtureSampler:
        """Sampler that draws half around the budget and half uniformly, as ``nas-peft search`` trains."""
        return MixtureSampler((self.around_budget(), self.space))


class RangeSandwich:
    """Sandwich in a range of sizes, where no architecture covers all others.

    Each step trains three draws: one from the top of the range, one from the bottom (each within `EDGE` of
    that end), and one from the whole range. The first learns from the labels, the others from the first
    one's logits. The supernet's capacity would cover all three, but has many times the parameters of the
    budget: a third of the passes would train an architecture that the search never considers.
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
    """One way: range of the drawn sizes, passes of an image in each step, and the chooser."""

    range: Literal["space", "budget"]
    passes: int
    chooser: Callable[[Samplers], Chooser]

    def epochs(self, of_one_pass: int) -> int:
        """Epochs at which an image passes the backbone ``of_one_pass`` times (rounded, at least 1)."""
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
"""``one-path-uniform`` is NOAH's training (after SPOS), ``groups-of-8-both`` that of ``nas-peft search``."""
