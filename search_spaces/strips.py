"""Architectures drawn in one line: a strip of blocks for each kind, with one block for each layer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import ceil, log2

from search_spaces.architecture import Architecture
from search_spaces.kinds import KINDS

BLOCKS = "▁▂▃▄▅▆▇█"
"""Heights from the smallest to the largest size."""
ABSENT = "·"
"""A layer without a module of the kind."""


def largest_sizes(architectures: Iterable[Architecture]) -> dict[str, int]:
    """The largest size of each kind in ``architectures``, by the kind's name, in the order of the names."""
    found: dict[str, int] = {}
    for architecture in architectures:
        for kind, sizes in architecture.sizes:
            found[kind] = max(found.get(kind, 0), *sizes)
    return dict(sorted(found.items()))


def strip(sizes: Sequence[int], largest: int) -> str:
    """One block for each size, layers counted from the input side; a dot for a size of 0.

    A block's height grows with the logarithm of the size, because sizes are usually chosen among powers of
    two: 1, 4 and 16 of ``largest`` 16 differ by the same step. Raises ``ValueError`` for a size above
    ``largest``.
    """
    if max(sizes, default=0) > largest:
        raise ValueError(f"a size is {max(sizes)}, and the largest is {largest}")
    return "".join(_block(size, largest) for size in sizes)


def strips(architecture: Architecture, largest: Mapping[str, int] | None = None) -> dict[str, str]:
    """The strip of each kind in ``largest`` by the kind's label, those of absent kinds included.

    Without ``largest`` the kinds and the largest sizes are those of the architecture itself. A kind that only
    the first layer can have is one block.
    """
    scale = largest_sizes([architecture]) if largest is None else largest
    return {
        KINDS[kind].label: strip(
            architecture[kind][:1] if KINDS[kind].first_layer_only else architecture[kind], most
        )
        for kind, most in scale.items()
    }


def _block(size: int, largest: int) -> str:
    if not size:
        return ABSENT
    return BLOCKS[ceil(len(BLOCKS) * log2(1 + size) / log2(1 + largest) - 1e-9) - 1]
