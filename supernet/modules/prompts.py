"""Visual prompts of one layer (VPT-deep)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from supernet.modules.elastic import ElasticModule, Size, register_elastic


@register_elastic
class Prompts(ElasticModule):
    """p learned tokens ``(p, d)`` that the layer's other tokens can attend to: VPT-deep (arXiv 2203.12119).

    VPT-deep throws a layer's prompt outputs away at the next layer, so only their keys and values are ever
    computed; for all other tokens that equals concatenating them. They start uniform in
    +-sqrt(6 / (3 patch^2 + d)) with 3 patch^2 taken as d, its value for most backbones (768 for ViT-B/16).
    """

    kind = "prompt_tokens"
    place = "prompts"

    def __init__(self, width: int, capacity: int) -> None:
        super().__init__(width, capacity)
        self.tokens = nn.Parameter(torch.empty(capacity, width))

    def reset(self, generator: torch.Generator) -> None:
        bound = (3 / self.width) ** 0.5
        nn.init.uniform_(self.tokens, -bound, bound, generator=generator)

    def forward(self, size: Size) -> Tensor:
        """The first ``size`` tokens ``(p, d)``; all of them with one size for each image, to be masked."""
        return self.tokens[:size] if isinstance(size, int) else self.tokens
