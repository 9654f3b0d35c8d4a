"""LoRA on the position embedding of a frozen backbone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from search_spaces import BackboneShape
from supernet.modules.elastic import ElasticModule, Size, register_elastic


@register_elastic("lora_rank_pos")
class LoRAPositions(ElasticModule):
    """``x + A^T B`` on the embedded tokens x ``(B, N, d)``, with A ``(r, N)`` and B ``(r, d)``.

    This is LoRA (Hu et al., arXiv 2106.09685) of a table of N position embeddings, whose inputs are one-hot.
    It is also the VPT paper's "add" variant (arXiv 2203.12119), prompts added to the tokens instead of
    concatenated, with the low rank of DePT (arXiv 2309.05173). The module changes what all images share at a
    position, which no other module can, because modules in the layers see only the contents of tokens. Class
    and register tokens are changed too; a backbone without a position embedding (rotary positions) gets one.

    A starts uniform in +-1, which gives A x a variance of 1/3 for one-hot x, as in `LowRank`. B starts at
    zero.
    """

    pretrained: ClassVar[Mapping[str, float]] = {"up": 0.0}
    scaled = frozenset({"up"})
    before_layers = True

    def __init__(self, shape: BackboneShape, capacity: int) -> None:
        super().__init__(shape, capacity)
        self.down = nn.Parameter(torch.empty(capacity, shape.tokens))
        self.up = nn.Parameter(torch.empty(capacity, shape.width))

    def reset(self, generator: torch.Generator) -> None:
        nn.init.uniform_(self.down, -1, 1, generator=generator)
        nn.init.zeros_(self.up)

    def added(self, down: Tensor, size: Size) -> Tensor:
        """Addition to the tokens, ``(N', d)``, or ``(B, N', d)`` with one size for each image.

        ``down (capacity, N')`` is A, resampled if the images have another size.
        """
        if isinstance(size, int):
            return down[:size].T @ self.up[:size]
        return (down.T * self.unit_mask(size, down.dtype)) @ self.up
