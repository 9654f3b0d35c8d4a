"""WiSE-FT: the line in weight space between a network before and after its fine-tuning."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from nas_peft.training.soups import fitting_names
from nas_peft.training.val_score import ValScore

ALPHAS = tuple(i / 10 for i in range(11))
"""The points of the line that validation data choose among."""


def interpolate(start: Mapping[str, Tensor], tuned: Mapping[str, Tensor], alpha: float) -> dict[str, Tensor]:
    """θ(α) = (1 - α)·θ⁰ + α·θ, tensor by tensor (Wortsman et al. 2022, arXiv 2109.01903).

    ``start``, θ⁰, is the network as its fine-tuning began: pretrained backbone, head after its brief training
    alone, modules at their initial values (LoRA's B and an adapter's up-projection are zero, prompts are
    random). ``alpha`` 0 gives it back and 1 gives ``tuned``, both exactly. Tensors that are no floats
    are those of ``tuned``.

    Raises ``ValueError`` for tensors that do not fit.
    """
    return {
        name: torch.lerp(start[name], tuned[name], alpha) if tuned[name].is_floating_point() else tuned[name]
        for name in fitting_names([start, tuned])
    }


def choose_alpha(scores: Mapping[float, ValScore]) -> float:
    """The α of the best score on validation data; of equal ones the one nearest to the fine-tuned end."""
    return min(scores, key=lambda alpha: (scores[alpha].rank_key(), -alpha))
