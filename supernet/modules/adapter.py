"""Bottleneck adapters, after the MLP and parallel to it."""

from __future__ import annotations

from typing import ClassVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from search_spaces import BackboneShape
from supernet.modules.elastic import ElasticModule, Place, Size, register_elastic
from supernet.sums import plus, plus_product, product

QUICK = 1.702
"""The constant c of QuickGELU(u) = u sigmoid(c u)."""


class Bottleneck(ElasticModule):
    """Adds ``s (QuickGELU(z W1^T + b1) W2 + b2)`` to the output y of the MLP branch, inside the residual.

    z is y for an adapter after the MLP (Houlsby et al., arXiv 1902.00751, placed as in NOAH), or the MLP's
    input for an adapter parallel to the MLP (AdaptFormer, arXiv 2205.13535). Both use QuickGELU(u) =
    u sigmoid(1.702 u), as in NOAH. The shapes are W1 ``(a, d)``, b1 ``(a,)``, W2 ``(a, d)``, stored
    transposed so that the width a is the first axis, and b2 ``(d,)``. W2 and b2 start at zero. The scale s is
    1, or learned for each layer from 1. At size 0 there is no b2 and no s.
    """

    places = ("mlp",)
    unsized = frozenset({"up_bias", "scale"})
    parallel: ClassVar[bool] = False
    learned_scale: ClassVar[bool] = False

    def __init__(self, shape: BackboneShape, capacity: int) -> None:
        super().__init__(shape, capacity)
        width = shape.width
        self.down = nn.Parameter(torch.empty(capacity, width))
        self.down_bias = nn.Parameter(torch.empty(capacity))
        self.up = nn.Parameter(torch.empty(capacity, width))
        self.up_bias = nn.Parameter(torch.empty(width))
        if self.learned_scale:
            self.scale = nn.Parameter(torch.empty(1))

    def reset(self, generator: torch.Generator) -> None:
        # Xavier's bound at the width of the layer, not of the bottleneck: it must not change with the size
        bound = (3 / self.shape.width) ** 0.5
        nn.init.uniform_(self.down, -bound, bound, generator=generator)
        nn.init.zeros_(self.down_bias)
        nn.init.zeros_(self.up)
        nn.init.zeros_(self.up_bias)
        if self.learned_scale:
            nn.init.ones_(self.scale)

    def forward(self, place: Place, x: Tensor, y: Tensor, size: Size) -> Tensor:
        z = x if self.parallel else y
        if isinstance(size, int):
            hidden = F.linear(z, self.down[:size], self.down_bias[:size])
            hidden = hidden * torch.sigmoid(QUICK * hidden)
            up, bias = self.up[:size], cast(Tensor, self.up_bias)
        else:
            hidden = F.linear(z, self.down, self.down_bias)
            hidden = hidden * torch.sigmoid(QUICK * hidden) * self.unit_mask(size, hidden.dtype)
            present = (size > 0).to(hidden.dtype)[:, None, None]
            up, bias = self.up, present * self.up_bias.to(hidden.dtype)
        if not self.learned_scale:
            return plus_product(y, hidden, up, bias)
        delta = product(hidden, up, bias)
        return plus(y, self.scale.to(delta.dtype) * delta)


@register_elastic("adapter_dim")
class Adapter(Bottleneck):
    """Adapter after the MLP."""


@register_elastic("adapter_dim_scaled")
class ScaledAdapter(Bottleneck):
    """Adapter after the MLP, with a learned scale."""

    learned_scale = True


@register_elastic("adapter_dim_parallel")
class ParallelAdapter(Bottleneck):
    """Adapter parallel to the MLP."""

    parallel = True


@register_elastic("adapter_dim_parallel_scaled")
class ScaledParallelAdapter(Bottleneck):
    """Adapter parallel to the MLP, with a learned scale."""

    parallel, learned_scale = True, True
