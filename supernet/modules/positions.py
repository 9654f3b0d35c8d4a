"""LoRA on the position embedding: what a frozen backbone knows of where its tokens are, changed."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from search_spaces import BackboneShape
from supernet.modules.elastic import ElasticModule, Size, register_elastic


@register_elastic("lora_rank_pos")
class LoRAPositions(ElasticModule):
    """``x + A^T B`` on the embedded tokens x ``(B, N, d)``, with A ``(r, N)`` and B ``(r, d)``.

    LoRA (Hu et al., arXiv 2106.09685) of a table of N position embeddings, whose inputs are one-hot; prompts
    that are added to the tokens instead of put beside them (the VPT paper's "add", arXiv 2203.12119), with
    the low rank of DePT (arXiv 2309.05173). What all images share at a position is all that it can say, yet
    no other module says it: those of the layers see what tokens contain. It works on class and register
    tokens too, and on backbones without a position embedding (rotary positions), where it adds one.

    As in `LowRank` A starts such that A x has a variance of 1/3: for one-hot x uniform in +-1. B starts at
    zero.
    """

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

        ``down (capacity, N')`` is A for the positions of the images at hand: itself, or resampled.
        """
        if isinstance(size, int):
            return down[:size].T @ self.up[:size]
        return (down.T * self.unit_mask(size, down.dtype)) @ self.up
