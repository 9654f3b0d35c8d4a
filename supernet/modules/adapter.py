"""Bottleneck adapters, in and around the branches of a layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from search_spaces import BackboneShape
from supernet.modules.elastic import ElasticModule, Place, Size, register_elastic
from supernet.sums import plus, plus_product, product

QUICK = 1.702
"""The constant c of QuickGELU(u) = u sigmoid(c u)."""


class Bottleneck(ElasticModule):
    """Adds ``s (QuickGELU(z W1^T + b1) W2 + b2)`` to the output y of a branch or to the residual stream y.

    z is y for an adapter after its place (Houlsby et al., arXiv 1902.00751; NOAH has the one after the MLP),
    or the MLP's input for an adapter parallel to the MLP (AdaptFormer, arXiv 2205.13535). QuickGELU(u) is
    u sigmoid(1.702 u), as in NOAH. The shapes are W1 ``(a, d)``, b1 ``(a,)``, W2 ``(a, d)``, stored
    transposed so that the width a is the first axis, and b2 ``(d,)``. W2 and b2 start at zero. The scale s is
    1, or learned from 1: one number, or one for each channel. At size 0 there is no b2 and no s.
    """

    pretrained: ClassVar[Mapping[str, float]] = {"up": 0.0, "up_bias": 0.0}
    places: ClassVar[tuple[Place, ...]] = ("mlp",)
    unsized = frozenset({"up_bias", "scale"})
    scaled = frozenset({"up", "up_bias"})
    parallel: ClassVar[bool] = False
    scales: ClassVar[Literal["none", "one", "channel"]] = "none"

    def __init__(self, shape: BackboneShape, capacity: int) -> None:
        super().__init__(shape, capacity)
        width = shape.width
        self.down = nn.Parameter(torch.empty(capacity, width))
        self.down_bias = nn.Parameter(torch.empty(capacity))
        self.up = nn.Parameter(torch.empty(capacity, width))
        self.up_bias = nn.Parameter(torch.empty(width))
        if self.scales != "none":
            self.scale = nn.Parameter(torch.empty(1 if self.scales == "one" else width))

    def reset(self, generator: torch.Generator) -> None:
        # Xavier's bound at the width of the layer, not of the bottleneck: it must not change with the size
        bound = (3 / self.shape.width) ** 0.5
        nn.init.uniform_(self.down, -bound, bound, generator=generator)
        nn.init.zeros_(self.down_bias)
        nn.init.zeros_(self.up)
        nn.init.zeros_(self.up_bias)
        if self.scales != "none":
            nn.init.ones_(self.scale)

    @staticmethod
    def activated(hidden: Tensor) -> Tensor:
        """The units' activation."""
        return hidden * torch.sigmoid(QUICK * hidden)

    def forward(self, place: Place, x: Tensor, y: Tensor, size: Size) -> Tensor:
        z = x if self.parallel else y
        if isinstance(size, int):
            hidden = self.activated(F.linear(z, self.down[:size], self.down_bias[:size]))
            up, bias = self.up[:size], cast(Tensor, self.up_bias)
        else:
            hidden = self.activated(F.linear(z, self.down, self.down_bias))
            hidden = hidden * self.unit_mask(size, hidden.dtype)
            present = (size > 0).to(hidden.dtype)[:, None, None]
            up, bias = self.up, present * self.up_bias.to(hidden.dtype)
        if self.scales == "none":
            return plus_product(y, hidden, up, bias)
        delta = product(hidden, up, bias)
        return plus(y, self.scale.to(delta.dtype) * delta)


@register_elastic("adapter_dim")
class Adapter(Bottleneck):
    """Adapter after the MLP."""


@register_elastic("adapter_dim_scaled")
class ScaledAdapter(Bottleneck):
    """Adapter after the MLP, with a learned scale."""

    scales, scaled = "one", frozenset()


@register_elastic("adapter_dim_parallel")
class ParallelAdapter(Bottleneck):
    """Adapter parallel to the MLP."""

    parallel = True


@register_elastic("adapter_dim_parallel_scaled")
class ScaledParallelAdapter(Bottleneck):
    """Adapter parallel to the MLP, with a learned scale."""

    parallel, scales, scaled = True, "one", frozenset()


@register_elastic("adapter_dim_attention")
class AttentionAdapter(Bottleneck):
    """Adapter after attention, the first of Houlsby's two."""

    places = ("attention",)


@register_elastic("adapter_dim_pre_attention")
class PreAttentionAdapter(Bottleneck):
    """Adapter on the residual stream before attention and its normalisation."""

    places = ("input",)


@register_elastic("adapter_dim_pre_mlp")
class PreMLPAdapter(Bottleneck):
    """Adapter on the residual stream before the MLP and its normalisation."""

    places = ("middle",)


@register_elastic("adapter_dim_plus")
class AdapterPlus(Bottleneck):
    """Adapter+ (Steitz and Roth, arXiv 2406.06820), on the residual stream after the MLP.

    Each channel has a learned scale, the activation is GELU, and both projections start from a normal
    distribution of standard deviation 0.01, cut off at two of these. So the pretrained function is changed a
    little at step 0.
    """

    places = ("output",)
    scales, scaled = "channel", frozenset()

    def reset(self, generator: torch.Generator) -> None:
        super().reset(generator)
        for weight in (self.down, self.up):
            nn.init.trunc_normal_(weight, std=0.01, a=-0.02, b=0.02, generator=generator)

    @staticmethod
    def activated(hidden: Tensor) -> Tensor:
        """GELU, as published."""
        return F.gelu(hidden)
