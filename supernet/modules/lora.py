"""LoRA on the projections of a layer."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from search_spaces import BackboneShape
from supernet.modules.elastic import ElasticModule, Place, Size, register_elastic
from supernet.sums import plus_product


class Factors(ElasticModule):
    """A ``(r, in)`` and B ``(r, out)``, whose product B^T A has the shape of a projection's weight.

    After Hu et al. (arXiv 2106.09685). B is stored transposed, so that the rank is the first axis of both.
    There is no factor alpha / r, because it would rescale every unit with the active rank. A starts uniform
    in +-1/sqrt(in), B at zero.

    B acts on part number ``part`` of a fused output of ``parts`` equal parts.
    """

    pretrained: ClassVar[Mapping[str, float]] = {"up": 0.0}
    scaled = frozenset({"up"})
    mergeable = True
    part: ClassVar[int] = 0
    parts: ClassVar[int] = 1

    def __init__(self, shape: BackboneShape, capacity: int) -> None:
        super().__init__(shape, capacity)
        inputs, outputs = self.ends(shape)
        self.inputs = inputs
        self.down = nn.Parameter(torch.empty(capacity, inputs))
        self.up = nn.Parameter(torch.empty(capacity, outputs // self.parts))

    @classmethod
    def ends(cls, shape: BackboneShape) -> tuple[int, int]:
        """Inputs and outputs of the projection."""
        place = cls.places[0]
        return {
            "qkv": (shape.width, 3 * shape.attention_width),
            "proj": (shape.attention_width, shape.width),
            "fc1": (shape.width, shape.fc1_width),
            "fc2": (shape.hidden_width, shape.width),
        }[place]

    def reset(self, generator: torch.Generator) -> None:
        bound = 1 / math.sqrt(self.inputs)
        nn.init.uniform_(self.down, -bound, bound, generator=generator)
        nn.init.zeros_(self.up)


class LowRank(Factors):
    """``y + x A^T B`` on a projection y of x."""

    def forward(self, place: Place, x: Tensor, y: Tensor, size: Size) -> Tensor:
        start = self.part * self.up.shape[1]
        if isinstance(size, int):
            return plus_product(y, x @ self.down[:size].T, self.up[:size], start=start)
        inner = x @ self.down.T
        return plus_product(y, inner * self.unit_mask(size, inner.dtype), self.up, start=start)

    def merge(self, place: Place, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        """``W + B^T A`` in the part's rows."""
        rows = weight.shape[0] // self.parts
        merged = weight.clone()
        merged[self.part * rows : (self.part + 1) * rows] += self.up.detach().T @ self.down.detach()
        return merged, bias


@register_elastic("lora_rank")
class LoRA(LowRank):
    """LoRA on queries, keys and values together, with one A for all three, as in NOAH."""

    places = ("qkv",)


@register_elastic("lora_rank_q")
class LoRAQuery(LowRank):
    """LoRA on the queries."""

    places, part, parts = ("qkv",), 0, 3


@register_elastic("lora_rank_k")
class LoRAKey(LowRank):
    """LoRA on the keys."""

    places, part, parts = ("qkv",), 1, 3


@register_elastic("lora_rank_v")
class LoRAValue(LowRank):
    """LoRA on the values."""

    places, part, parts = ("qkv",), 2, 3


@register_elastic("lora_rank_proj")
class LoRAProjection(LowRank):
    """LoRA on the output projection of attention."""

    places = ("proj",)


@register_elastic("lora_rank_fc1")
class LoRAFirst(LowRank):
    """LoRA on the first layer of the MLP (values and gates together where it is gated)."""

    places = ("fc1",)


@register_elastic("lora_rank_fc2")
class LoRASecond(LowRank):
    """LoRA on the second layer of the MLP."""

    places = ("fc2",)
