"""What competes with the searched subnets: one kind of module, or LoRA everywhere, in all layers alike."""

from __future__ import annotations

import difflib
from bisect import bisect_right
from collections.abc import Sequence

from search_spaces import KINDS, Architecture, BackboneShape, InputError, count_params

ALWAYS_COMPARED = ("prompt_tokens", "lora_rank", "adapter_dim", "ssf")
"""The kinds that compete alone in every run: VPT, LoRA, adapters, SSF."""

LORA_EVERYWHERE = "lora-everywhere"
"""LoRA of one rank on all projections of every layer, and on the position embedding.

It needs no search, and on seven small tasks it is as good as what a search finds (docs/mini_vtab.md).
"""

_PROJECTIONS = ("lora_rank", "lora_rank_proj", "lora_rank_fc1", "lora_rank_fc2")
_MOST_ON_POSITIONS = 16
_MOST_RANK = 64


def require_known(names: Sequence[str]) -> None:
    """Raise `InputError` for a name that is neither a module kind nor `LORA_EVERYWHERE`."""
    allowed = [*KINDS, LORA_EVERYWHERE]
    for name in names:
        if name not in allowed:
            guess = difflib.get_close_matches(name, allowed, n=1)
            raise InputError(
                f"singles is '{name}', which is no single method; "
                + (f"did you mean '{guess[0]}'? " if guess else "")
                + f"give some of {', '.join(allowed)}"
            )


def largest_alone(kind: str, shape: BackboneShape, limit: int) -> int:
    """The largest size of a kind, alone and alike in all layers, within ``limit`` parameters; 0 for none."""
    most = KINDS[kind].max_size or max(0, limit)  # a unit of size has at least one parameter
    sizes = range(1, most + 1)
    return bisect_right(sizes, limit, key=lambda size: count_params(alone(kind, size, shape), shape))


def alone(kind: str, size: int, shape: BackboneShape) -> Architecture:
    """A kind alone, of one size in all layers, or in the first if the kind has no other."""
    if KINDS[kind].first_layer_only:
        return Architecture.of(shape.depth, {kind: [size] + [0] * (shape.depth - 1)})
    return Architecture.uniform(shape.depth, kind, size)


def largest_everywhere(shape: BackboneShape, limit: int) -> int:
    """The largest rank of `lora_everywhere` within ``limit`` parameters; 0 for none."""
    ranks = range(1, _MOST_RANK + 1)
    return bisect_right(ranks, limit, key=lambda rank: count_params(lora_everywhere(rank, shape), shape))


def lora_everywhere(rank: int, shape: BackboneShape) -> Architecture:
    """LoRA of ``rank`` on all projections of all layers, and of four times that on the positions, at most 16.

    The position embedding is one matrix of many rows, so a higher rank costs little there.
    """
    sizes = {kind: [rank] * shape.depth for kind in _PROJECTIONS}
    on_positions = min(4 * rank, _MOST_ON_POSITIONS)
    return Architecture.of(shape.depth, sizes | {"lora_rank_pos": [on_positions] + [0] * (shape.depth - 1)})


def halvings(size: int, count: int) -> list[int]:
    """``size``, half of it (rounded down) and so on while positive; at most ``count`` values."""
    return [half for i in range(count) if (half := size >> i)]
