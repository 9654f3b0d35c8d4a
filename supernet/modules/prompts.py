"""Visual prompts: of one layer (VPT-deep), and from the first layer to the last (VPT-shallow)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from search_spaces import BackboneShape
from supernet.modules.elastic import ElasticModule, Size, register_elastic


class PromptTokens(ElasticModule):
    """p learned tokens ``(p, d)``, Jia et al. (arXiv 2203.12119).

    They start uniform in +-sqrt(6 / (3 patch^2 + d)) with 3 patch^2 taken as d, its value for most backbones
    (768 for ViT-B/16).
    """

    def __init__(self, shape: BackboneShape, capacity: int) -> None:
        super().__init__(shape, capacity)
        self.tokens = nn.Parameter(torch.empty(capacity, shape.width))

    def reset(self, generator: torch.Generator) -> None:
        bound = (3 / self.shape.width) ** 0.5
        nn.init.uniform_(self.tokens, -bound, bound, generator=generator)

    def prompts(self, size: Size) -> Tensor:
        """The first ``size`` tokens ``(p, d)``; all of them with one size for each image, to be masked."""
        return self.tokens[:size] if isinstance(size, int) else self.tokens


@register_elastic("prompt_tokens")
class Prompts(PromptTokens):
    """VPT-deep: tokens that the other tokens of one layer can attend to.

    VPT-deep throws a layer's prompt outputs away at the next layer, so only their keys and values are ever
    used; for all other tokens that equals concatenating them.
    """


@register_elastic("shallow_prompt_tokens")
class ShallowPrompts(PromptTokens):
    """VPT-shallow: tokens that enter before the first layer, go through all of them and are then dropped.

    They stand behind the class tokens. Every layer and every image token attends to them, so they cost as
    much as image tokens.
    """

    before_layers = True
