"""36 architectures that studies of the search are judged by, each of which the table trains alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from search_spaces import Architecture, BackboneShape, BudgetSampler, count_params, load_space
from search_spaces.streams import stream

SPACE = "default"
EQUAL = (8_100, 9_700)
"""Fewest and most parameters of the group of nearly equal size, at width 128 and depth 8: 8,900 ± 9%."""


@dataclass(frozen=True)
class Entry:
    """One architecture of the table; ``group`` is ``spread`` or ``equal``."""

    group: str
    architecture: Architecture


def architectures(shape: BackboneShape) -> list[Entry]:
    """36 different architectures, half in each group; the same at every call.

    The range of the equal group grows with width and depth. Single methods are placed in all layers, in the
    first quarter and in the last quarter of them.
    """
    depth, width = shape.depth, shape.width
    low, high = (round(count * width / 128 * depth / 8) for count in EQUAL)
    space = load_space(SPACE, depth)
    quarter = max(1, depth // 4)

    def first(kind: str, size: int) -> Architecture:
        return Architecture.of(depth, {kind: [size] * quarter + [0] * (depth - quarter)})

    def last(kind: str, size: int) -> Architecture:
        return Architecture.of(depth, {kind: [0] * (depth - quarter) + [size] * quarter})

    def uniform(kind: str, size: int) -> Architecture:
        return Architecture.uniform(depth, kind, size)

    spread = [
        uniform("lora_rank", 1),
        uniform("lora_rank", 8),
        uniform("adapter_dim", 1),
        uniform("adapter_dim", 16),
        uniform("prompt_tokens", 2),
        uniform("prompt_tokens", 32),
    ]
    equal = [
        uniform("lora_rank", 2),
        uniform("adapter_dim", 4),
        uniform("prompt_tokens", 8),
        first("lora_rank", 8),
        last("lora_rank", 8),
        first("adapter_dim", 16),
        first("prompt_tokens", 32),
    ]
    largest = count_params(space.largest(), shape)
    bands = [largest ** (i / 12) * (8 * width) ** (1 - i / 12) for i in range(13)]
    for i in range(12):
        sampler = BudgetSampler(space, shape, round(bands[i]), round(bands[i + 1]))
        spread.append(_another(sampler, spread + equal, "spread", i))
    sampler = BudgetSampler(space, shape, low, high)
    for i in range(18 - len(equal)):
        equal.append(_another(sampler, spread + equal, "equal", i))
    return [Entry("spread", a) for a in spread] + [Entry("equal", a) for a in equal]


def _another(sampler: BudgetSampler, taken: Sequence[Architecture], *path: str | int) -> Architecture:
    rng = stream(0, "architecture table", *path)
    while (drawn := sampler.sample(rng)) in taken:
        pass
    return drawn
