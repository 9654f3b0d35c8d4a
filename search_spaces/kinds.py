"""Kinds of module that a subnet may hold, and the cost of one module of each.

A kind is a name with a size: the number of prompts, the rank, the number of hidden units. This package treats
all kinds alike through `KINDS`, so a new kind takes one `register_kind` call.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import dataclass
from typing import TypeAlias

from search_spaces.errors import InputError
from search_spaces.shape import BackboneShape

Params: TypeAlias = Callable[[int, BackboneShape], int]
Flops: TypeAlias = Callable[[int, BackboneShape, int], int]
Lacks: TypeAlias = Callable[[BackboneShape], str | None]


def no_flops(size: int, shape: BackboneShape, tokens: int) -> int:
    """The count of a kind without matrix products: 0, since elementwise operations are not counted."""
    return 0


def _no_weight_flops(size: int, shape: BackboneShape) -> int:
    return 0


def _lacks_nothing(shape: BackboneShape) -> None:
    return None


@dataclass(frozen=True)
class Kind:
    """A kind of parameter-efficient module.

    `name` is the spelling in flags, YAML, JSON and code; `label` is the common name.
    `params(size, shape)` is the number of trainable elements of a module of `size` in one layer of a backbone
    of `shape`: 0 at size 0, positive and increasing above. Sampling relies on both.
    `flops(size, shape, tokens)` is the number of floating point operations (a multiply-add counts as two) of
    the module's matrix products on `tokens` tokens of one image. `sees_prompts` adds the layer's prompts to
    these tokens, because the module works on the inputs of keys and values.
    `max_size` is the largest size, or None for no limit.
    `prompt_flops(size, shape, prompts)` is the number on a layer's prompts, for a kind of which only a part
    works on the inputs of keys and values; such a kind leaves `sees_prompts` False.
    `first_layer_only` says that the kind exists in the first layer only.
    `acts_everywhere` says that the one module, which is in the first layer, acts in all layers; `params` then
    counts the module once, and `flops` and `prompt_flops` are those in one of the layers.
    `weight_flops(size, shape)` is the number of operations of matrix products between weights alone, once for
    the tokens of a batch and once more for a layer's prompts.
    `lacks(shape)` names what the kind needs and a backbone of `shape` lacks, else None.

    Raises ValueError for `acts_everywhere` without `first_layer_only`.
    """

    name: str
    label: str
    params: Params
    flops: Flops = no_flops
    sees_prompts: bool = False
    max_size: int | None = None
    first_layer_only: bool = False
    lacks: Lacks = _lacks_nothing
    weight_flops: Params = _no_weight_flops
    prompt_flops: Flops = no_flops
    acts_everywhere: bool = False

    def __post_init__(self) -> None:
        if self.acts_everywhere and not self.first_layer_only:
            raise ValueError(f"{self.name} acts everywhere from the first layer; set first_layer_only too")

    def held_in(self, layer: int) -> int:
        """The layer that holds the module of this kind that acts in `layer`: the first, or `layer` itself."""
        return 0 if self.acts_everywhere else layer

    def require_backbone(self, shape: BackboneShape) -> None:
        """Raise InputError for a backbone on which the kind does not work."""
        if (lacking := self.lacks(shape)) is not None:
            raise InputError(
                f"{self.name} needs {lacking}, which this backbone lacks; "
                f"leave {self.name} out, or give another backbone"
            )

    def require(self, sizes: tuple[int, ...], where: str, remedy: str = "give 0 in all other layers") -> None:
        """Raise InputError for sizes, one per layer, that the kind cannot have.

        `where` names the sizes in the message; `remedy` says how to keep a kind to the first layer there.
        """
        if self.max_size is not None and max(sizes) > self.max_size:
            raise InputError(
                f"{where} is {max(sizes)}, but the largest size of {self.name} is {self.max_size}; "
                "give that or less"
            )
        if self.first_layer_only and any(sizes[1:]):
            raise InputError(
                f"{where} is positive beyond the first layer, the only one that can have {self.name}; "
                + remedy
            )


KINDS: dict[str, Kind] = {}

OWN_KIND = "A kind of your own is known once the file that registers it is imported (--module-file FILE.py)."
"""Remedy for an unknown kind, at the end of error messages."""


def register_kind(kind: Kind) -> None:
    """Make `kind` known to architectures, spaces and counting.

    Raises ValueError for a name that is taken. `depth` counts as taken, being the other key of an
    architecture's dict.
    """
    if kind.name in KINDS or kind.name == "depth":
        raise ValueError(f"the module kind name '{kind.name}' is taken; give the new kind another name")
    KINDS[kind.name] = kind


# VPT-deep (Jia et al. 2022, arXiv 2203.12119): p tokens of the embedding's width in each layer, as keys and
# values, whose cost `count_flops` knows. VPT-shallow: p tokens that enter once and stay to the end.
def _prompt_params(size: int, shape: BackboneShape) -> int:
    return shape.width * size


register_kind(Kind("prompt_tokens", "VPT", _prompt_params))
register_kind(Kind("shallow_prompt_tokens", "VPT-shallow", _prompt_params, first_layer_only=True))


def _register_lora(name: str, label: str, ends: Callable[[BackboneShape], int], sees_prompts: bool) -> None:
    """LoRA (Hu et al. 2021, arXiv 2106.09685) on a projection with `ends` inputs and outputs together."""

    def params(size: int, shape: BackboneShape) -> int:
        return size * ends(shape)

    def flops(size: int, shape: BackboneShape, tokens: int) -> int:
        return 2 * tokens * size * ends(shape)

    register_kind(Kind(name, label, params, flops, sees_prompts))


# On the fused query, key and value A is r×d and B is 3d×r, as in NOAH.
_register_lora("lora_rank", "LoRA", lambda s: s.width + 3 * s.attention_width, True)
_register_lora("lora_rank_q", "LoRA-q", lambda s: s.width + s.attention_width, True)
_register_lora("lora_rank_k", "LoRA-k", lambda s: s.width + s.attention_width, True)
_register_lora("lora_rank_v", "LoRA-v", lambda s: s.width + s.attention_width, True)
_register_lora("lora_rank_proj", "LoRA-proj", lambda s: s.attention_width + s.width, False)
_register_lora("lora_rank_fc1", "LoRA-fc1", lambda s: s.width + s.fc1_width, False)
_register_lora("lora_rank_fc2", "LoRA-fc2", lambda s: s.hidden_width + s.width, False)


# DoRA (Liu et al. 2024, arXiv 2402.09353): LoRA and a magnitude for each output. The norms of the changed
# weight need W A^T, A A^T, and the latter times B.
def _register_dora(
    name: str, label: str, ends: Callable[[BackboneShape], tuple[int, int]], sees: bool
) -> None:
    def params(size: int, shape: BackboneShape) -> int:
        inputs, outputs = ends(shape)
        return size * (inputs + outputs) + outputs if size > 0 else 0

    def flops(size: int, shape: BackboneShape, tokens: int) -> int:
        return 2 * tokens * size * sum(ends(shape))

    def weight_flops(size: int, shape: BackboneShape) -> int:
        inputs, outputs = ends(shape)
        return 2 * size * (inputs * outputs + size * inputs + size * outputs)

    register_kind(Kind(name, label, params, flops, sees, weight_flops=weight_flops))


_register_dora("dora_rank", "DoRA", lambda s: (s.width, 3 * s.attention_width), True)
_register_dora("dora_rank_proj", "DoRA-proj", lambda s: (s.attention_width, s.width), False)
_register_dora("dora_rank_fc1", "DoRA-fc1", lambda s: (s.width, s.fc1_width), False)
_register_dora("dora_rank_fc2", "DoRA-fc2", lambda s: (s.hidden_width, s.width), False)


# On the position embedding: A is r×N and B is r×d for N tokens. Their product is made once for a batch.
def _position_params(size: int, shape: BackboneShape) -> int:
    return size * (shape.tokens + shape.width)


def _position_flops(size: int, shape: BackboneShape, tokens: int) -> int:
    return 2 * size * shape.tokens * shape.width


register_kind(Kind("lora_rank_pos", "LoRA-pos", _position_params, _position_flops, first_layer_only=True))


# FacT (Jie and Deng 2022, arXiv 2212.03145): factors n×d and n×d that all layers share, and n×n numbers for
# each block of d×d in their projections.
def fact_blocks(shape: BackboneShape) -> dict[str, tuple[int, int]]:
    """Blocks of `shape.width` inputs and outputs into which FacT cuts each projection of a layer, by place.

    Queries, keys and values are cut one by one, and the last block of a width that is no multiple is smaller.
    A plain ViT has 12 blocks in a layer.
    """

    def blocks(width: int) -> int:
        return -(-width // shape.width)

    attention = blocks(shape.attention_width)
    return {
        "qkv": (1, 3 * attention),
        "proj": (attention, 1),
        "fc1": (1, blocks(shape.fc1_width)),
        "fc2": (blocks(shape.hidden_width), 1),
    }


def _fact_params(size: int, shape: BackboneShape) -> int:
    of_layer = sum(inputs * outputs for inputs, outputs in fact_blocks(shape).values())
    return 2 * size * shape.width + shape.depth * of_layer * size**2


def _fact_flops(size: int, shape: BackboneShape, tokens: int, places: Container[str] | None = None) -> int:
    once = 0
    for place, (inputs, outputs) in fact_blocks(shape).items():
        if places is None or place in places:
            once += (inputs + outputs) * size * shape.width + inputs * outputs * size**2
    return 2 * tokens * once


def _fact_prompt_flops(size: int, shape: BackboneShape, prompts: int) -> int:
    return _fact_flops(size, shape, prompts, ("qkv",))


register_kind(
    Kind(
        "fact_rank",
        "FacT",
        _fact_params,
        _fact_flops,
        prompt_flops=_fact_prompt_flops,
        first_layer_only=True,
        acts_everywhere=True,
    )
)


# Adapter (Houlsby et al. 2019, arXiv 1902.00751): a×d down with bias a, d×a up with bias d. An absent adapter
# has no bias either, hence the jump from 0 to 1.
def _adapter_params(size: int, shape: BackboneShape) -> int:
    return (2 * shape.width + 1) * size + shape.width if size > 0 else 0


def _scaled_adapter_params(size: int, shape: BackboneShape) -> int:
    return _adapter_params(size, shape) + (size > 0)


def _adapter_flops(size: int, shape: BackboneShape, tokens: int) -> int:
    return 4 * tokens * size * shape.width


register_kind(Kind("adapter_dim", "Adapter", _adapter_params, _adapter_flops))
register_kind(Kind("adapter_dim_scaled", "Adapter (scaled)", _scaled_adapter_params, _adapter_flops))
# AdaptFormer (Chen et al. 2022, arXiv 2205.13535): beside the MLP instead of after it.
register_kind(Kind("adapter_dim_parallel", "Parallel adapter", _adapter_params, _adapter_flops))
register_kind(
    Kind("adapter_dim_parallel_scaled", "Parallel adapter (scaled)", _scaled_adapter_params, _adapter_flops)
)
# Houlsby's first of two adapters a block: after attention, inside the residual.
register_kind(Kind("adapter_dim_attention", "Attention adapter", _adapter_params, _adapter_flops))
# Before either branch, on the residual stream. Before attention it changes a layer's prompts too.
register_kind(
    Kind(
        "adapter_dim_pre_attention",
        "Pre-attention adapter",
        _adapter_params,
        _adapter_flops,
        sees_prompts=True,
    )
)
register_kind(Kind("adapter_dim_pre_mlp", "Pre-MLP adapter", _adapter_params, _adapter_flops))


# Adapter+ (Steitz and Roth 2024, arXiv 2406.06820): after the layer, with a learned scale for each channel.
def _adapter_plus_params(size: int, shape: BackboneShape) -> int:
    return _adapter_params(size, shape) + (shape.width if size > 0 else 0)


register_kind(Kind("adapter_dim_plus", "Adapter+", _adapter_plus_params, _adapter_flops))


# Convpass (Jie and Deng 2022, arXiv 2207.07039): a bottleneck of a units with a 3×3 convolution a×a×3×3 and
# its bias between the two projections. Tokens that are no patch see the middle of the convolution alone.
def _convpass_params(size: int, shape: BackboneShape) -> int:
    return _adapter_params(size, shape) + 9 * size**2 + size


def _convpass_flops(size: int, shape: BackboneShape, tokens: int) -> int:
    taps = 9 * shape.patches + (tokens - shape.patches)
    return _adapter_flops(size, shape, tokens) + 2 * taps * size**2


def _lacks_grid(shape: BackboneShape) -> str | None:
    return "a single grid of patches" if shape.grid is None else None


for _name, _label in (("convpass_dim_attention", "Convpass-attention"), ("convpass_dim_mlp", "Convpass-MLP")):
    register_kind(Kind(_name, _label, _convpass_params, _convpass_flops, lacks=_lacks_grid))


# RepAdapter (Luo et al. 2023, arXiv 2302.08106): a linear bottleneck before a branch, with two groups of
# units that write to one half of the channels each.
def _rep_params(size: int, shape: BackboneShape) -> int:
    return (shape.width + 1 + shape.width // 2) * size + shape.width if size > 0 else 0


def _rep_flops(size: int, shape: BackboneShape, tokens: int) -> int:
    return 2 * tokens * size * (shape.width + shape.width // 2)


def _lacks_halves(shape: BackboneShape) -> str | None:
    return "an even embedding width" if shape.width % 2 else None


register_kind(
    Kind("rep_dim_attention", "RepAdapter-attention", _rep_params, _rep_flops, True, lacks=_lacks_halves)
)
register_kind(Kind("rep_dim_mlp", "RepAdapter-MLP", _rep_params, _rep_flops, lacks=_lacks_halves))


def ssf_widths(shape: BackboneShape) -> tuple[int, ...]:
    """Widths of the operations that SSF scales and shifts, in the order in which larger sizes include them.

    Cheap operations come first: norm1, norm2, proj, fc2, qkv, fc1.
    """
    d = shape.width
    return (d, d, d, d, 3 * shape.attention_width, shape.fc1_width)


def _ssf_params(size: int, shape: BackboneShape) -> int:
    return 2 * sum(ssf_widths(shape)[:size])


# SSF (Lian et al. 2022, arXiv 2210.08823): a scale and a shift for each channel after the first `size` of a
# layer's operations; 6 is the paper's. Smaller sizes are ours: six operations of every layer are beyond many
# budgets.
register_kind(Kind("ssf", "SSF", _ssf_params, sees_prompts=True, max_size=6))
