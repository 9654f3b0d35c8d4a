"""The exported architecture, layer by layer: a lane for each kind, a bar for each module."""

from __future__ import annotations

from math import log2

from nas_peft.report.chart import Chart, chart, drawing
from nas_peft.report.data_table import data_table
from nas_peft.report.kind_places import in_order, named, place
from nas_peft.report.palette import light
from search_spaces import KINDS, Architecture

MOST_NUMBERED = 12
"""Layers up to which each bar has its size beside it."""


def architecture_chart(architecture: Architecture) -> Chart | None:
    """Which module of which size sits at which place of which layer; ``None`` without modules."""
    kinds, depth = in_order(architecture.kinds), architecture.depth
    if not kinds:
        return None
    layers = range(1, depth + 1)
    with drawing(0.7 + 0.55 * len(kinds)) as (figure, axes):
        for lane, kind in enumerate(reversed(kinds)):
            sizes, most = architecture[kind], max(architecture[kind])
            heights = [0.78 * log2(1 + size) / log2(1 + most) for size in sizes]
            axes.bar(layers, heights, width=0.62, bottom=lane, color=light(_role(kind)))
            axes.axhline(lane, color=light("line"), lw=0.8, zorder=0)
            for layer, size, height in zip(layers, sizes, heights, strict=True):
                if not size:
                    axes.plot([layer], [lane + 0.08], ".", ms=2.5, color=light("quiet"))
                elif depth <= MOST_NUMBERED:
                    axes.text(layer, lane + height, str(size), ha="center", va="bottom", fontsize=8)
        axes.set_yticks(
            [lane + 0.35 for lane in range(len(kinds))], [named(kind) for kind in reversed(kinds)]
        )
        axes.set_xticks([*layers] if depth <= MOST_NUMBERED else [1, *range(4, depth + 1, 4)])
        axes.set_xlim(0.4, depth + 0.6)
        axes.set_ylim(-0.05, len(kinds) + 0.1)
        axes.set_xlabel("layer, from input to output")
        axes.grid(False)
        axes.tick_params(length=0)
        axes.spines["left"].set_visible(False)
        table = data_table(
            "Size of each module by kind and layer",
            ("kind", "place", *(f"layer {layer}" for layer in layers)),
            ((named(kind), place(kind), *map(_size, architecture[kind])) for kind in kinds),
            texts=2,
            note="Size: prompts, rank, or hidden units, as the kind has it. Sizes of kinds that exist once "
            "stand in layer 1. A bar's height is the logarithm of the size, as a share of the largest of "
            "its kind.",
        )
        return chart(figure, "Modules by layer", _description(architecture, kinds), table)


def _role(kind: str) -> str:
    if "prompt" in kind:
        return "baseline"
    if any(low_rank in kind for low_rank in ("lora", "dora", "fact")):
        return "chosen"
    return "searched" if "adapter" in kind else "single"


def _size(size: int) -> str:
    return str(size) if size else "·"


def _description(architecture: Architecture, kinds: list[str]) -> str:
    said = []
    for kind in kinds:
        sizes = architecture[kind]
        present = [layer for layer, size in enumerate(sizes, 1) if size]
        where = (
            "once"
            if KINDS[kind].first_layer_only
            else "in every layer"
            if len(present) == architecture.depth
            else f"in {'layer' if len(present) == 1 else 'layers'} {', '.join(map(str, present))}"
        )
        found = sorted({size for size in sizes if size})
        span = f"{found[0]}" if len(found) == 1 else f"{found[0]} to {found[-1]}"
        said.append(f"{named(kind)} ({place(kind)}) of size {span} {where}")
    return f"{architecture.depth} layers. {'; '.join(said)}."
