"""Visual prompts in one layer (VPT-deep), and from the first layer to the last (VPT-shallow)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from search_spaces import BackboneShape
from supernet.modules.elastic import ElasticModule, Size, register_elastic


class PromptTokens(ElasticModule):
    """p learned tokens ``(p, d)``, Jia et al. (arXiv 2203.12119).

    They start uniform in +-sqrt(6 / (3 patch^2 + d)), where 3 patch^2 is replaced by d; both are equal for
    ViT-B/16 (768) and most other backbones.
    """

    def __init__(self, shape: BackboneShape, capacity: int) -> None:
        super().__init__(shape, capacity)
        self.tokens = nn.Parameter(torch.empty(capacity, shape.width))

    def reset(self, generator: torch.Generator) -> None:
        bound = (3 / self.shape.width) ** 0.5
        nn.init.uniform_(self.tokens, -bound, bound, generator=generator)

    def prompts(self, size: Size) -> Tensor:
        """The first ``size`` tokens ``(p, d)``; all tokens, to be masked, if each image has its own size."""
        return self.tokens[:size] if isinstance(size, int) else self.tokens


@register_elastic("prompt_tokens")
class Prompts(PromptTokens):
    """VPT-deep: tokens that the other tokens of one layer can attend to.

    VPT-deep discards a layer's prompt outputs at the next layer, so only the prompts' keys and values are
    used. For all other tokens this equals concatenating the prompts.
    """


@register_elastic("shallow_prompt_tokens")
class ShallowPrompts(PromptTokens):
    """VPT-shallow: tokens that enter before the first layer, pass through all layers and are then dropped.

    They stand behind the class tokens, and cost as much as image tokens in every layer.
    """

    before_layers = True
