"""Exact set of the parameter counts that members of a space can have."""

from __future__ import annotations

import numpy as np

from search_spaces.architecture import Architecture
from search_spaces.kinds import KINDS
from search_spaces.shape import BackboneShape
from search_spaces.space import SearchSpace


class ReachableCounts:
    """Parameter counts up to `limit` that members of `space` have, and draws of a member with a given count.

    A subset-sum by dynamic programming: bit t of the stage after some layers says whether these layers can
    hold t parameters together, so a layer costs one shift and one `or` for each size. Unlike random trials,
    the table proves whether a range of counts is empty. Memory is one bit for each count up to `limit` (or
    the largest member's count) and each layer of each kind: 1.8 MB for the default space on ViT-B up to
    360,000.
    """

    def __init__(self, space: SearchSpace, shape: BackboneShape, limit: int) -> None:
        self._depth = space.depth
        mask = (1 << (limit + 1)) - 1
        bits = 1
        self._kinds: list[tuple[str, tuple[int, ...], list[int], tuple[int, ...], list[bytes]]] = []
        for kind, choices in space.kinds:
            costs = [KINDS[kind].params(size, shape) for size in choices.sizes]
            # A free kind's prefix is always the whole network; 0 is then a size like any other.
            depths = (space.depth,) if choices.depths is None else choices.depths
            stages = [bits]
            for _ in range(depths[-1]):
                layer = 0
                for cost in costs:
                    layer |= stages[-1] << cost
                stages.append(layer & mask)
            bits = 0
            for active in depths:
                bits |= stages[active]
            self._kinds.append((kind, choices.sizes, costs, depths, [_as_bytes(stage) for stage in stages]))
        self._all = bits

    def at_most(self, count: int) -> int | None:
        """The largest positive reachable count up to `count`, or None."""
        below = self._all & ((1 << max(0, count + 1)) - 1)
        return below.bit_length() - 1 if below > 1 else None

    def at_least(self, count: int) -> int | None:
        """The smallest positive reachable count from `count` up to the limit, or None."""
        start = max(1, count)
        above = self._all >> start
        return start + (above & -above).bit_length() - 1 if above else None

    def draw(self, count: int, rng: np.random.Generator) -> Architecture:
        """A random member with exactly `count` parameters, which must be reachable; not uniform."""
        sizes: list[tuple[str, tuple[int, ...]]] = []
        left = count
        for kind, allowed, costs, depths, stages in reversed(self._kinds):
            possible = [active for active in depths if _has(stages[active], left)]
            active = possible[rng.integers(len(possible))]
            drawn = []
            for stage in reversed(stages[:active]):
                fitting = [i for i, cost in enumerate(costs) if _has(stage, left - cost)]
                i = fitting[rng.integers(len(fitting))]
                drawn.append(allowed[i])
                left -= costs[i]
            # The walk leaves forced sizes to its last layers; active layers are interchangeable.
            layers = [drawn[i] for i in rng.permutation(active)] + [0] * (self._depth - active)
            sizes.append((kind, tuple(layers)))
        return Architecture(self._depth, tuple(sizes))


def _as_bytes(bits: int) -> bytes:
    """Little-endian bytes, from which single bits are read without copying the whole number."""
    return bits.to_bytes(bits.bit_length() // 8 + 1, "little")


def _has(stage: bytes, count: int) -> bool:
    return 0 <= count < 8 * len(stage) and bool(stage[count >> 3] >> (count & 7) & 1)
