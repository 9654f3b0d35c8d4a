"""WiSE-FT: the line in weight space between the pretrained function and a network after its fine-tuning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from nas_peft.run.training_inputs import TrainingInputs
from nas_peft.training.soups import fitting_names
from nas_peft.training.training import Training
from nas_peft.training.trainings import starting_network, trained_tensors
from nas_peft.training.val_score import ValScore
from supernet import Recipe
from supernet.penalty import pretrained_value

ALPHAS = tuple(i / 10 for i in range(11))
"""Values of α among which validation data choose."""


def line_start(
    training: Training, tuned: Mapping[str, Tensor], inputs: TrainingInputs, head: Recipe | None
) -> dict[str, Tensor]:
    """θ⁰ of the line to ``tuned``, the tensors that a training has left.

    That is the pretrained function, whatever the training started from. A training of new modules or of the
    backbone itself starts there: pretrained backbone, head after its brief training alone, modules at their
    initial values (LoRA's B and an adapter's up-projection are zero; prompts are random). Modules that were
    inherited from the supernet do not. Of them the parameters that `ElasticModule.pretrained` names are put
    back to the pretrained function, the others (LoRA's A, prompts) stay as they were trained, so that no
    random values are mixed into them, and a new head is trained alone by ``head``.
    """
    if training.recipe.start != "inherited":
        return trained_tensors(starting_network(training, inputs, "cpu"), training)
    recipe = replace(training.recipe, start="pretrained")
    head = None if head is None else replace(head, class_balance=recipe.class_balance)
    new = replace(training, recipe=recipe, head=head)
    found = trained_tensors(starting_network(new, inputs, "cpu"), new)
    for name, tensor in tuned.items():
        if name.startswith("layers."):
            value = pretrained_value(name)
            found[name] = tensor.clone() if value is None else torch.full_like(tensor, value)
    return found


def interpolate(start: Mapping[str, Tensor], tuned: Mapping[str, Tensor], alpha: float) -> dict[str, Tensor]:
    """θ(α) = (1 - α)·θ⁰ + α·θ, tensor by tensor (Wortsman et al. 2022, arXiv 2109.01903).

    ``start``, θ⁰, is the pretrained function with a head that was trained alone, see `line_start`. ``alpha``
    0 returns ``start`` and 1 returns ``tuned``, both exactly. Integer tensors are those of
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
