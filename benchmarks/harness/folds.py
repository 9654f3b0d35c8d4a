"""Folds of a data set's images, the same in every study, and trainings that have not seen one of them."""

from __future__ import annotations

import torch
from torch import Tensor

from benchmarks.harness.recipes import HEAD
from nas_peft.data.part import Part
from search_spaces import Architecture
from supernet import (
    Backbone,
    Constant,
    Evaluation,
    Preprocessing,
    Recipe,
    Supernet,
    Trainable,
    evaluate,
    train,
)

SEED = 0


def folds_of(labels: Tensor, folds: int) -> Tensor:
    """The fold of each image ``(N,)``: every class is spread evenly over ``folds``."""
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(SEED))
    order = order[torch.argsort(labels[order], stable=True)]
    fold = torch.empty(len(labels), dtype=torch.long)
    fold[order] = torch.arange(len(labels)) % folds
    return fold


def scored_on_fold(
    backbone: Backbone,
    preprocessing: Preprocessing,
    images: Part,
    classes: int,
    left_out: Tensor,
    architecture: Architecture,
    recipe: Recipe,
) -> Evaluation:
    """Scores of the images of a fold, ``left_out (N,)``, by a subnet that is trained on all others.

    It is trained as ``nas-peft search`` trains a single method: the head alone, then modules and head by
    ``recipe``. The logits are kept.
    """
    seen, scored = images.take((~left_out).nonzero().flatten()), images.take(left_out.nonzero().flatten())
    network = Supernet(backbone.model, architecture, classes, seed=SEED)
    steps: tuple[tuple[Trainable, Recipe], ...] = (("head", HEAD), ("modules", recipe))
    for trainable, of_step in steps:
        train(
            network,
            seen.images,
            seen.labels,
            trainable=trainable,
            recipe=of_step,
            preprocessing=preprocessing,
            chooser=Constant(architecture),
            seed=SEED,
        )
    return evaluate(
        network,
        scored.images,
        scored.labels,
        preprocessing=preprocessing,
        architecture=architecture,
        keep_logits=True,
    )
