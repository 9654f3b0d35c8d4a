"""What competes with the searched subnets: one method of a paper at one size, in all layers alike."""

from __future__ import annotations

import difflib
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass

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


@dataclass(frozen=True)
class Combined:
    """A single method that has modules of several kinds.

    ``label`` is its name in tables, ``modules`` its architecture at a size from 1 to ``most``.
    """

    label: str
    modules: Callable[[int, BackboneShape], Architecture]
    most: int


def lora_everywhere(rank: int, shape: BackboneShape) -> Architecture:
    """LoRA of ``rank`` on all projections of all layers, and of four times that on the positions, at most 16.

    The position embedding is one matrix of many rows, so a higher rank costs little there.
    """
    sizes = {kind: [rank] * shape.depth for kind in _PROJECTIONS}
    on_positions = min(4 * rank, _MOST_ON_POSITIONS)
    return Architecture.of(shape.depth, sizes | {"lora_rank_pos": [on_positions] + [0] * (shape.depth - 1)})


def _alike(*kinds: str) -> Callable[[int, BackboneShape], Architecture]:
    return lambda size, shape: Architecture.of(shape.depth, {kind: [size] * shape.depth for kind in kinds})


COMBINED: dict[str, Combined] = {
    LORA_EVERYWHERE: Combined("LoRA everywhere", lora_everywhere, _MOST_RANK),
    "houlsby": Combined("Houlsby's adapters", _alike("adapter_dim", "adapter_dim_attention"), 512),
    "convpass": Combined("Convpass", _alike("convpass_dim_attention", "convpass_dim_mlp"), 512),
}
"""Single methods of several kinds by name.

Houlsby et al. (arXiv 1902.00751) and Convpass (arXiv 2207.07039) have a module at attention and one at the
MLP.
"""


def require_known(names: Sequence[str]) -> None:
    """Raise `InputError` for a name that is neither a module kind nor a method of `COMBINED`."""
    allowed = [*KINDS, *COMBINED]
    for name in names:
        if name not in allowed:
            guess = difflib.get_close_matches(name, allowed, n=1)
            raise InputError(
                f"singles is '{name}', which is no single method; "
                + (f"did you mean '{guess[0]}'? " if guess else "")
                + f"give some of {', '.join(allowed)}"
            )


def largest_alone(name: str, shape: BackboneShape, limit: int) -> int:
    """The largest size of a single method, alike in all layers, within ``limit`` parameters; 0 for none."""
    # a unit of a kind's size has at least one parameter
    most = COMBINED[name].most if name in COMBINED else KINDS[name].max_size or max(0, limit)
    sizes = range(1, most + 1)
    return bisect_right(sizes, limit, key=lambda size: count_params(alone(name, size, shape), shape))


def alone(name: str, size: int, shape: BackboneShape) -> Architecture:
    """A single method at one size in all layers, or in the first if its kind has no other.

    Raises `InputError` for a kind that the backbone cannot have.
    """
    if name in COMBINED:
        found = COMBINED[name].modules(size, shape)
    elif KINDS[name].first_layer_only:
        found = Architecture.of(shape.depth, {name: [size] + [0] * (shape.depth - 1)})
    else:
        found = Architecture.uniform(shape.depth, name, size)
    for kind in found.kinds:
        KINDS[kind].require_backbone(shape)
    return found


def halvings(size: int, count: int) -> list[int]:
    """``size``, half of it (rounded down) and so on while positive; at most ``count`` values."""
    return [half for i in range(count) if (half := size >> i)]
