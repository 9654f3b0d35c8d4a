"""Sampling of sparse architectures around a parameter budget, where a search looks."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from search_spaces.architecture import Architecture
from search_spaces.counting import count_params
from search_spaces.errors import InputError
from search_spaces.kinds import KINDS
from search_spaces.reachable import ReachableCounts
from search_spaces.shape import BackboneShape
from search_spaces.space import SearchSpace

# Trials of the sparse draw before the exact draw; one suffices unless the range is about as narrow as a step.
_ATTEMPTS = 8
# A draw counts as near its target from this share up; a higher share would favour the cheap steps that fit.
_NEAR = 0.95
# Sets of kinds that are listed at once, and tries of a random one where there are more.
_LISTED = 2**14
_TRIED = 256

_T = TypeVar("_T")
_Counts: TypeAlias = NDArray[np.int64]


SMALLEST_SHARE = 0.4
"""Share of the budget from which architectures are drawn to train the supernet and to start the search."""


def range_around(space: SearchSpace, shape: BackboneShape, limit: int) -> tuple[int, int]:
    """Fewest and most parameters around a budget: `SMALLEST_SHARE` of the largest count within ``limit``, and
    that count.

    The largest count may be far below the limit where sizes are few or far apart.
    """
    limit = min(limit, count_params(space.largest(), shape))
    high = ReachableCounts(space, shape, limit).at_most(limit) or limit
    return int(SMALLEST_SHARE * high), high


class BudgetSampler:
    """Draws members of `space` with `low` ≤ count_params ≤ `high` on a backbone of `shape`.

    Why: architectures drawn uniformly from a whole space have several times the budget on average. A supernet
    trained on such draws ranks small architectures poorly, and its subnets are far from separately trained
    ones. Trained where the search looks, inherited subnets were as good as separately trained ones in our
    prototype.

    How: a target count is drawn uniformly in its logarithm, so that small subnets are trained as much as
    large ones. The set of present kinds is drawn uniformly from the sets that can have that count, so whole
    kinds are often absent where the space permits. For each present kind the number of active layers is drawn
    uniformly from the numbers that leave the target within reach, and the layers at random (the lowest layers
    where the kind has depths). Sizes are drawn uniformly, then raised or lowered at random positions until
    the count is near the target. If several trials fail, a member with the reachable count nearest to the
    target is drawn exactly, so every call ends. The empty architecture is never drawn.

    Raises InputError if `low` > `high`, or if no member with a module is in the range.
    """

    def __init__(self, space: SearchSpace, shape: BackboneShape, low: int, high: int) -> None:
        if not 0 <= low <= high:
            raise InputError(f"the range of parameters is {low} to {high}; give 0 ≤ low ≤ high")
        largest = count_params(space.largest(), shape)
        self._depth = space.depth
        self._reachable = ReachableCounts(space, shape, min(high, largest))
        lowest, highest = self._reachable.at_least(low), self._reachable.at_most(high)
        if lowest is None or highest is None:
            smallest = min(count_params(a, shape) for a in space.smallest_nonempty())
            raise InputError(
                f"no architecture of the space '{space.name}' has {low:,} to {high:,} parameters "
                f"at width {shape.width}: the smallest has {smallest:,}, the largest {largest:,}"
                f"{f', the nearest below {highest:,}' if highest is not None else ''}; widen the range"
            )
        self._low, self._high = lowest, highest
        self._sets = _KindSets(space, shape, lowest, highest)

    def sample(self, rng: np.random.Generator) -> Architecture:
        """One architecture. All randomness comes from `rng`."""
        u = _uniforms(rng)
        target = round(self._low * (self._high / self._low) ** next(u))
        for _ in range(_ATTEMPTS):
            drawn = self._near(target, u)
            if drawn is not None:
                return drawn
        nearest = (self._reachable.at_most(target), self._reachable.at_least(target))
        inside = [count for count in nearest if count is not None and count >= self._low]
        return self._reachable.draw(min(inside, key=lambda count: abs(count - target)), rng)

    def _near(self, target: int, u: Iterator[float]) -> Architecture | None:
        """A sparse architecture near `target`, or None where the draw finds no way into the range."""
        kinds = self._sets.draw(target, u)
        modules = _Modules()
        for kind, active in _active_counts(kinds, target, u):
            layers = list(range(self._depth))
            if not kind.prefix:
                _shuffle(layers, active, u)
            for layer in layers[:active]:
                modules.add(kind, layer, int(next(u) * len(kind.costs)))
        modules.decrease(target, u)
        modules.increase(max(self._low, _NEAR * target), target, u)
        # Steps up to the target may all be too large where one beyond it still is in the range.
        modules.increase(self._low, self._high, u)
        if not self._low <= modules.total <= self._high:
            return None
        return modules.architecture(self._depth)


def sampler_around(space: SearchSpace, shape: BackboneShape, limit: int) -> BudgetSampler:
    """A sampler of architectures around a budget of ``limit`` parameters, see `range_around`."""
    return BudgetSampler(space, shape, *range_around(space, shape, limit))


def sampler_over_range(space: SearchSpace, shape: BackboneShape, limit: int) -> BudgetSampler:
    """A sampler from the smallest member with a module up to ``limit`` parameters, uniform in log size."""
    return BudgetSampler(space, shape, min(count_params(a, shape) for a in space.smallest_nonempty()), limit)


@dataclass(frozen=True)
class _PresentKind:
    """A present kind: its positive sizes, their costs, and the possible numbers of active layers."""

    name: str
    sizes: tuple[int, ...]
    costs: tuple[int, ...]
    actives: tuple[int, ...]
    prefix: bool

    @property
    def low(self) -> int:
        return self.actives[0] * self.costs[0]

    @property
    def high(self) -> int:
        return self.actives[-1] * self.costs[-1]


class _KindSets:
    """Every non-empty set of kinds whose members can have `lowest` to `highest` parameters.

    Up to `_LISTED` sets are listed, as arrays of their smallest and largest counts, and a draw looks at all:
    11 kinds make 2,047. Of more sets random ones are tried until one can have the target, which is as
    uniform; 22 kinds make four million. They are listed only if `_TRIED` in a row cannot.
    """

    def __init__(self, space: SearchSpace, shape: BackboneShape, lowest: int, highest: int) -> None:
        self._lowest, self._highest = lowest, highest
        self._options: list[tuple[_PresentKind | None, ...]] = []
        for name, choices in space.kinds:
            costs = tuple(KINDS[name].params(size, shape) for size in choices.positive)
            actives = choices.active_counts(space.depth)
            kind = _PresentKind(name, choices.positive, costs, actives, choices.depths is not None)
            self._options.append((None, kind) if choices.optional else (kind,))
        self._count = math.prod(len(options) for options in self._options)

    def draw(self, target: int, u: Iterator[float]) -> tuple[_PresentKind, ...]:
        """The kinds of a set that can have `target` parameters, drawn uniformly; any set if none can."""
        if self._count > _LISTED:
            for _ in range(_TRIED):
                kinds = self._kinds_of(int(next(u) * self._count))
                if sum(kind.low for kind in kinds) <= target <= sum(kind.high for kind in kinds):
                    return kinds
        indices, lows, highs = self._listed
        able = indices[(lows <= target) & (target <= highs)]
        if not len(able):
            able = indices
        return self._kinds_of(int(able[int(next(u) * len(able))]))

    @cached_property
    def _listed(self) -> tuple[_Counts, _Counts, _Counts]:
        """The sets within the range: index of each, smallest and largest count."""
        lows = highs = np.zeros(1, dtype=np.int64)
        for options in self._options:
            lows = np.add.outer(lows, [0 if kind is None else kind.low for kind in options]).ravel()
            highs = np.add.outer(highs, [0 if kind is None else kind.high for kind in options]).ravel()
        indices = np.flatnonzero((highs > 0) & (lows <= self._highest) & (highs >= self._lowest))
        return indices, lows[indices], highs[indices]

    def _kinds_of(self, index: int) -> tuple[_PresentKind, ...]:
        """The kinds of a set: its index in the product of the options, the last kind's counting fastest."""
        kinds = []
        for options in reversed(self._options):
            index, option = divmod(index, len(options))
            kinds.append(options[option])
        return tuple(kind for kind in reversed(kinds) if kind is not None)


class _Modules:
    """Modules under adjustment, as parallel lists: a draw makes dozens of steps in about 100 µs."""

    def __init__(self) -> None:
        self.total = 0
        self._kinds: list[_PresentKind] = []
        self._layers: list[int] = []
        self._levels: list[int] = []

    def add(self, kind: _PresentKind, layer: int, level: int) -> None:
        self._kinds.append(kind)
        self._layers.append(layer)
        self._levels.append(level)
        self.total += kind.costs[level]

    def decrease(self, limit: int, u: Iterator[float]) -> None:
        """Redraw random modules among their smaller sizes until the total is at most `limit`."""
        levels = self._levels
        candidates = [i for i, level in enumerate(levels) if level]
        while self.total > limit and candidates:
            at = int(next(u) * len(candidates))
            i = candidates[at]
            costs = self._kinds[i].costs
            level = int(next(u) * levels[i])
            self.total -= costs[levels[i]] - costs[level]
            levels[i] = level
            if level == 0:
                candidates[at] = candidates[-1]
                candidates.pop()

    def increase(self, enough: float, limit: int, u: Iterator[float]) -> None:
        """Redraw random modules among the larger sizes that fit into `limit`, until the total is `enough`."""
        levels = self._levels
        candidates = list(range(len(levels)))
        while self.total < enough and candidates:
            at = int(next(u) * len(candidates))
            i = candidates[at]
            costs, level = self._kinds[i].costs, levels[i]
            fitting = bisect_right(costs, costs[level] + limit - self.total) - 1 - level
            if fitting <= 0:
                candidates[at] = candidates[-1]
                candidates.pop()
                continue
            levels[i] = level + 1 + int(next(u) * fitting)
            self.total += costs[levels[i]] - costs[level]

    def architecture(self, depth: int) -> Architecture:
        sizes: dict[str, list[int]] = {}
        for kind, layer, level in zip(self._kinds, self._layers, self._levels, strict=True):
            sizes.setdefault(kind.name, [0] * depth)[layer] = kind.sizes[level]
        return Architecture.of(depth, sizes)


def _active_counts(
    kinds: tuple[_PresentKind, ...], target: int, u: Iterator[float]
) -> Iterator[tuple[_PresentKind, int]]:
    """Each kind with its number of active layers, such that the sizes can still reach `target`."""
    # In random order, because the first kind has the freest choice.
    order = list(kinds)
    _shuffle(order, len(order), u)
    least, most = sum(k.low for k in order), sum(k.high for k in order)
    for kind in order:
        least, most = least - kind.low, most - kind.high
        smallest, largest = kind.costs[0], kind.costs[-1]
        fitting = [n for n in kind.actives if least + n * smallest <= target <= most + n * largest]
        active = fitting[int(next(u) * len(fitting))] if fitting else kind.actives[0]
        least, most = least + active * smallest, most + active * largest
        yield kind, active


def _shuffle(items: list[_T], first: int, u: Iterator[float]) -> None:
    """Put a random choice of the items, in random order, into the first places."""
    for i in range(min(first, len(items) - 1)):
        j = i + int(next(u) * (len(items) - i))
        items[i], items[j] = items[j], items[i]


def _uniforms(rng: np.random.Generator) -> Iterator[float]:
    """Floats in [0, 1), drawn in blocks: one NumPy call each would be most of a draw's cost."""
    while True:
        yield from rng.random(128).tolist()
