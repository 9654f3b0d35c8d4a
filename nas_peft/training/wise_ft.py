"""WiSE-FT: the line in weight space between a network before and after its fine-tuning."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from nas_peft.training.soups import fitting_names
from nas_peft.training.val_score import ValScore

ALPHAS = tuple(i / 10 for i in range(11))
"""Values of α among which validation data choose."""


def interpolate(start: Mapping[str, Tensor], tuned: Mapping[str, Tensor], alpha: float) -> dict[str, Tensor]:
    """θ(α) = (1 - α)·θ⁰ + α·θ, tensor by tensor (Wortsman et al. 2022, arXiv 2109.01903).

    ``start``, θ⁰, is the network before its fine-tuning: pretrained backbone, head after its brief training
    alone, modules at their initial values (LoRA's B and an adapter's up-projection are zero, prompts are
    random). ``alpha`` 0 returns ``start`` and 1 returns ``tuned``, both exactly. Integer tensors are those of
    ``tuned``.

    Raises ``ValueError`` if names, shapes or types of the tensors differ.
    """
    return {
        name: torch.lerp(start[name], tuned[name], alpha) if tuned[name].is_floating_point() else tuned[name]
        for name in fitting_names([start, tuned])
    }


def choose_alpha(scores: Mapping[float, ValScore]) -> float:
    """The α with the best validation score; among equal scores, the α nearest to the fine-tuned network."""
    return min(scores, key=lambda alpha: (scores[alpha].rank_key(), -alpha))
