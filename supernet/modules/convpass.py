"""Convpass: bottlenecks with a convolution over the grid of patches, beside attention and beside the MLP."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from search_spaces import BackboneShape
from supernet.modules.adapter import Bottleneck
from supernet.modules.elastic import Grid, Place, Size, register_elastic
from supernet.sums import plus_product


class Convpass(Bottleneck):
    """Adds ``q(conv(q(x W1^T + b1))) W2 + b2`` to the output of a branch whose input is x.

    After Jie and Deng (arXiv 2207.07039), with q = QuickGELU; W1, b1, W2 and b2 are those of an adapter
    beside the branch. The convolution ``(a, a, 3, 3)`` with bias ``(a,)`` sees the patches as the image that
    they are, padded with zeros. Every other token (class, registers, prompts of VPT-shallow) is an image of
    its own, of which the convolution's middle alone is seen. The convolution starts as the identity, W2 at
    zero.

    A smaller module is the first units of the larger one, as inputs and as outputs of the convolution.
    """

    on_grid = True
    parallel = True

    def __init__(self, shape: BackboneShape, capacity: int) -> None:
        super().__init__(shape, capacity)
        self.conv = nn.Parameter(torch.empty(capacity, capacity, 3, 3))
        self.conv_bias = nn.Parameter(torch.empty(capacity))

    def reset(self, generator: torch.Generator) -> None:
        super().reset(generator)
        nn.init.dirac_(self.conv)
        nn.init.zeros_(self.conv_bias)

    def tensors_at(self, size: int) -> dict[str, Tensor]:
        return super().tensors_at(size) | {"conv": self.conv.data[:size, :size]}

    def forward(self, place: Place, x: Tensor, y: Tensor, size: Size, grid: Grid | None = None) -> Tensor:
        """See `ElasticModule.forward`; ``grid`` is that of the backbone's own image size if not given."""
        units = size if isinstance(size, int) else self.capacity
        hidden = self.activated(F.linear(x, self.down[:units], self.down_bias[:units]))
        up, bias = self.up[:units], self.up_bias
        if isinstance(size, int):
            hidden = self.activated(self._convolved(hidden, grid or self.shape.grid))
            return plus_product(y, hidden, up, bias)
        mask = self.unit_mask(size, hidden.dtype)
        hidden = self.activated(self._convolved(hidden * mask, grid or self.shape.grid)) * mask
        present = (size > 0).to(hidden.dtype)[:, None, None]
        return plus_product(y, hidden, up, present * bias.to(hidden.dtype))

    def _convolved(self, hidden: Tensor, grid: Grid | None) -> Tensor:
        """The convolution of ``(B, N, a)``, whose last tokens are the patches of ``grid``."""
        if grid is None:
            raise ValueError(f"{self.kind} needs a grid of patches, and the backbone has none")
        units = hidden.shape[-1]
        weight, bias = self.conv[:units, :units], self.conv_bias[:units]
        others = hidden.shape[1] - grid[0] * grid[1]
        image = hidden[:, others:].transpose(1, 2).reshape(-1, units, *grid)
        patches = F.conv2d(image, weight, bias, padding=1).flatten(2).transpose(1, 2)
        if not others:
            return patches
        alone = F.linear(hidden[:, :others], weight[:, :, 1, 1], bias)
        return torch.cat([alone, patches], dim=1)


@register_elastic("convpass_dim_attention")
class AttentionConvpass(Convpass):
    """Convpass beside attention."""

    places = ("attention",)


@register_elastic("convpass_dim_mlp")
class MLPConvpass(Convpass):
    """Convpass beside the MLP."""

    places = ("mlp",)
