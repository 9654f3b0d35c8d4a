"""The choice of a supernet's recipe, by the loss of subnets on unseen images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from nas_peft.scoring.scorer import Scorer
from search_spaces import Architecture
from search_spaces.streams import stream
from supernet import Recipe

JUDGED = 12
"""Number of subnets that a supernet is judged by: the same as in a generation of the search."""


@dataclass(frozen=True)
class Judgement:
    """The median loss of the judged subnets, and the number of forward passes of an image."""

    loss: float
    image_passes: float


def judged_subnets(sample: Callable[[np.random.Generator], Architecture], seed: int) -> list[Architecture]:
    """Distinct subnets from the range of the search: `JUDGED` of them, or fewer if there are fewer."""
    rng, found = stream(seed, "supernet length"), dict[Architecture, None]()
    for _ in range(20 * JUDGED):
        if len(found) < JUDGED:
            found[sample(rng)] = None
    return list(found)


def recipe_name(recipe: Recipe) -> str:
    """Name of a recipe among those of a run's supernets: ``4``, ``4 crop``, ``4 crop weighted``."""
    return " ".join([str(recipe.epochs), *recipe.variants])


def judge(scorer: Scorer, architectures: Sequence[Architecture]) -> Judgement:
    """Judge a supernet (or those of all folds) by the loss of subnets on the images it was not trained on.

    The right number of epochs and the right augmentation depend on the data set. Where the backbone's
    features fit, many epochs overfit the training images; where the features do not fit, few epochs leave all
    subnets unfinished, and their losses say little about the trained subnets (docs/log/supernet_length.md).
    The loss on unseen images shows both. The median is used because one subnet that overflows says nothing
    about the rest.
    """
    of_folds = [scorer.score(i, np.arange(n), architectures) for i, n in enumerate(scorer.sizes)]
    losses = np.concatenate([found.losses for found in of_folds], axis=1).mean(axis=1, dtype=np.float64)
    losses = np.where(np.isfinite(losses), losses, np.inf)
    return Judgement(float(np.median(losses)), sum(found.image_passes for found in of_folds))
