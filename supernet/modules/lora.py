"""LoRA on the fused query, key and value projection."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from supernet.modules.elastic import ElasticModule, Size, register_elastic


@register_elastic
class LoRA(ElasticModule):
    """``qkv(h) + h A^T B`` with A ``(r, d)`` and B ``(r, 3d)``, Hu et al. (arXiv 2106.09685), as in NOAH.

    B is kept transposed, so that the rank is the first axis of both. There is no factor alpha / r: it
    would change a unit's meaning with the active rank. A starts uniform in +-1/sqrt(d), B at zero.
    """

    kind = "lora_rank"
    place = "qkv"

    def __init__(self, width: int, capacity: int) -> None:
        super().__init__(width, capacity)
        self.down = nn.Parameter(torch.empty(capacity, width))
        self.up = nn.Parameter(torch.empty(capacity, 3 * width))

    def reset(self, generator: torch.Generator) -> None:
        bound = 1 / math.sqrt(self.width)
        nn.init.uniform_(self.down, -bound, bound, generator=generator)
        nn.init.zeros_(self.up)

    def forward(self, h: Tensor, size: Size) -> Tensor:
        """Normalised tokens ``(B, N, d)`` to what is added to their fused qkv ``(B, N, 3d)``.

        Without a batch axis, ``(P, d)`` to ``(P, 3d)``, or to ``(B, P, 3d)`` with one size for each image.
        """
        if isinstance(size, int):
            return F.linear(h, self.down[:size]) @ self.up[:size]
        return (F.linear(h, self.down) * self.unit_mask(size, h.dtype)) @ self.up

    def merged_delta(self) -> Tensor:
        """What the module at capacity adds to the qkv weight: ``(3d, d)``."""
        return self.up.detach().T @ self.down.detach()
