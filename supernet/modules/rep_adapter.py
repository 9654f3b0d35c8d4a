"""RepAdapter: a linear bottleneck on the input of a branch, which merges into the following projection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from search_spaces import BackboneShape
from supernet.modules.elastic import ElasticModule, Place, Size, register_elastic
from supernet.sums import plus


class RepAdapter(ElasticModule):
    """``y + (y A^T + a) B + b`` on what a projection reads, y ``(…, d)``; Luo et al. (arXiv 2302.08106).

    There is no activation. Units are in two groups, as published: those of even number write to the first
    half of the channels, the others to the second, so B is ``(r, d / 2)``. The published groups are the two
    halves of the units, which would not nest. A is ``(r, d)``, a ``(r,)``, b ``(d,)``. B and both biases
    start at zero. At size 0 there is no b. The published factor s, chosen for each task, is the recipe's
    ``module_scale``.
    """

    pretrained: ClassVar[Mapping[str, float]] = {"up": 0.0, "up_bias": 0.0}
    unsized = frozenset({"up_bias"})
    scaled = frozenset({"up", "up_bias"})
    mergeable = True

    def __init__(self, shape: BackboneShape, capacity: int) -> None:
        super().__init__(shape, capacity)
        self.down = nn.Parameter(torch.empty(capacity, shape.width))
        self.down_bias = nn.Parameter(torch.empty(capacity))
        self.up = nn.Parameter(torch.empty(capacity, shape.width // 2))
        self.up_bias = nn.Parameter(torch.empty(shape.width))

    def reset(self, generator: torch.Generator) -> None:
        bound = (3 / self.shape.width) ** 0.5  # as for adapters: independent of the size
        nn.init.uniform_(self.down, -bound, bound, generator=generator)
        nn.init.zeros_(self.down_bias)
        nn.init.zeros_(self.up)
        nn.init.zeros_(self.up_bias)

    def forward(self, place: Place, x: Tensor, y: Tensor, size: Size) -> Tensor:
        units = size if isinstance(size, int) else self.capacity
        hidden = F.linear(y, self.down[:units], self.down_bias[:units])
        up, bias = self.up[:units], self.up_bias.to(hidden.dtype)
        if isinstance(size, Tensor):
            hidden = hidden * self.unit_mask(size, hidden.dtype)
            bias = (size > 0).to(hidden.dtype)[:, None, None] * bias
        halves = [hidden[..., group::2] @ up[group::2] for group in (0, 1)]
        return plus(y, torch.cat(halves, dim=-1) + bias)

    def merge(self, place: Place, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        """``W + W R`` and ``bias + W c``, where the module adds ``R y + c``."""
        up = self.up.detach()
        whole = up.new_zeros(self.capacity, self.shape.width)
        for group, half in enumerate(whole.chunk(2, dim=1)):
            half[group::2] = up[group::2]
        constant = self.down_bias.detach() @ whole + self.up_bias.detach()
        return weight + weight @ (whole.T @ self.down.detach()), bias + weight @ constant


@register_elastic("rep_dim_attention")
class AttentionRepAdapter(RepAdapter):
    """RepAdapter before attention."""

    places = ("qkv_input",)


@register_elastic("rep_dim_mlp")
class MLPRepAdapter(RepAdapter):
    """RepAdapter before the MLP."""

    places = ("fc1_input",)
