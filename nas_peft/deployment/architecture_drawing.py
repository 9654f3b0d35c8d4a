"""A drawing of an architecture in text: one character for each layer and kind of module."""

from __future__ import annotations

from search_spaces import KINDS, Architecture

BLOCKS = "▁▂▃▄▅▆▇█"
ABSENT = "·"


def drawn(architecture: Architecture) -> str:
    """A line for each kind, with the layers from the input on the left to the output on the right.

    A block's height is the module's size as a share of the largest of its kind, a dot is a layer without one;
    the sizes follow. ``no modules`` for an empty architecture.
    """
    if not architecture.kinds:
        return "no modules"
    labels = [KINDS[kind].label for kind in architecture.kinds]
    width = max(map(len, labels))
    lines = []
    for label, kind in zip(labels, architecture.kinds, strict=True):
        sizes = architecture[kind]
        present = sorted({size for size in sizes if size})
        span = str(present[0]) if len(present) == 1 else f"{present[0]} to {present[-1]}"
        strip = "".join(_block(size, present[-1]) for size in sizes)
        lines.append(f"{label:<{width}}  {strip}  {span}")
    return "\n".join(lines)


def _block(size: int, largest: int) -> str:
    if not size:
        return ABSENT
    return BLOCKS[-(-size * len(BLOCKS) // largest) - 1]
