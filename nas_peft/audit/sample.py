"""Sample of subnets that an audit retrains."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from nas_peft.run.search_inputs import SearchInputs
from search_spaces import Architecture, BudgetSampler, InputError, ReachableCounts, count_params, range_around
from search_spaces.streams import stream

Group: TypeAlias = Literal["all sizes", "equal size"]
EQUAL = 0.9
"""Subnets of equal size have at least this share of the budget's parameters."""
_TRIES = 200


@dataclass(frozen=True)
class Sampled:
    """A subnet of the sample, and the half of the sample that it belongs to."""

    architecture: Architecture
    group: Group


def require_enough(subnets: int) -> None:
    """Raise `InputError` for fewer than 8 subnets."""
    if subnets < 8:
        raise InputError(f"subnets is {subnets}; give 8 or more: fewer tell nothing about a ranking")


def audit_sample(inputs: SearchInputs, subnets: int) -> list[Sampled]:
    """Stratified random sample of different subnets within the budget; always the same for a run.

    Half of the sample is spread over all sizes: one draw from each of as many strata of equal width in log
    parameters, where an empty stratum takes the next size above it. The other half has nearly equal sizes,
    just below the budget. Over all sizes the number of parameters alone ranks subnets well, so only the half
    of equal size shows whether a score knows more than that.

    Raises `InputError` for fewer than 8 ``subnets``, and if the space has too few.
    """
    require_enough(subnets)
    space, shape = inputs.space, inputs.backbone.shape
    low = min(count_params(a, shape) for a in space.smallest_nonempty())
    high = range_around(space, shape, inputs.budget.limit(inputs.head_params))[1]
    reachable = ReachableCounts(space, shape, high)
    found: dict[Architecture, Group] = {}

    def draw(group: Group, first: float, last: float, rng: np.random.Generator) -> None:
        least = reachable.at_least(int(np.floor(first))) or high  # a stratum may hold no size at all
        sampler = BudgetSampler(space, shape, least, max(least, int(np.ceil(last))))
        for _ in range(_TRIES):
            a = sampler.sample(rng)
            if a not in found and inputs.fits(a):
                found[a] = group
                return
        raise InputError(
            f"the space '{space.name}' has too few subnets of {first:,.0f} to {last:,.0f} parameters for a "
            f"sample of {subnets}; give fewer subnets"
        )

    equal = subnets // 2
    for i in range(equal):
        draw("equal size", EQUAL * high, high, stream(inputs.config.seed, "audit", "equal size", i))
    edges = np.geomspace(low, high, subnets - equal + 1)
    for i, (first, last) in enumerate(itertools.pairwise(edges)):
        draw("all sizes", first, last, stream(inputs.config.seed, "audit", "all sizes", i))
    return [Sampled(a, group) for a, group in found.items()]
