"""Bottleneck adapter after the MLP, inside the residual branch."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from supernet.modules.elastic import ElasticModule, Size, register_elastic


@register_elastic
class Adapter(ElasticModule):
    """``y + QuickGELU(y W1^T + b1) W2 + b2`` on the output y of the MLP branch, as in NOAH.

    Houlsby et al. (arXiv 1902.00751) with QuickGELU(z) = z sigmoid(1.702 z). W1 ``(a, d)``, b1 ``(a,)``,
    W2 ``(a, d)`` kept transposed so that the width a is the first axis, b2 ``(d,)``. The up-projection and
    its bias start at zero; b2 is absent where the adapter is.
    """

    kind = "adapter_dim"
    place = "mlp_output"
    unsized = frozenset({"up_bias"})

    def __init__(self, width: int, capacity: int) -> None:
        super().__init__(width, capacity)
        self.down = nn.Parameter(torch.empty(capacity, width))
        self.down_bias = nn.Parameter(torch.empty(capacity))
        self.up = nn.Parameter(torch.empty(capacity, width))
        self.up_bias = nn.Parameter(torch.empty(width))

    def reset(self, generator: torch.Generator) -> None:
        # Xavier's bound at the width of the layer, not of the bottleneck: it must not change with the size
        bound = (3 / self.width) ** 0.5
        nn.init.uniform_(self.down, -bound, bound, generator=generator)
        nn.init.zeros_(self.down_bias)
        nn.init.zeros_(self.up)
        nn.init.zeros_(self.up_bias)

    def forward(self, y: Tensor, size: Size) -> Tensor:
        """MLP outputs ``(B, N, d)`` to what is added to them, ``(B, N, d)``."""
        if isinstance(size, int):
            hidden = F.linear(y, self.down[:size], self.down_bias[:size])
            return (hidden * torch.sigmoid(1.702 * hidden)) @ self.up[:size] + self.up_bias
        hidden = F.linear(y, self.down, self.down_bias)
        hidden = hidden * torch.sigmoid(1.702 * hidden) * self.unit_mask(size, y.dtype)
        present = (size > 0).to(y.dtype)[:, None, None]
        return hidden @ self.up + present * self.up_bias
