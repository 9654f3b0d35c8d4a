"""The choice of a supernet's length: the one whose subnets do best on unseen images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from nas_peft.scoring.scorer import Scorer
from search_spaces import Architecture
from search_spaces.streams import stream

JUDGED = 12
"""Subnets by which a supernet is judged: as many as a generation of the search."""


@dataclass(frozen=True)
class Judgement:
    """The median loss of the judged subnets, and the forward passes that it took."""

    loss: float
    image_passes: float


def judged_subnets(sample: Callable[[np.random.Generator], Architecture], seed: int) -> list[Architecture]:
    """Different subnets, drawn where the search will look; as many as `JUDGED`, or as there are."""
    rng, found = stream(seed, "supernet length"), dict[Architecture, None]()
    for _ in range(20 * JUDGED):
        if len(found) < JUDGED:
            found[sample(rng)] = None
    return list(found)


def judge(scorer: Scorer, architectures: Sequence[Architecture]) -> Judgement:
    """Judge by all images that the supernet (or each of the folds) has not been trained on.

    How many epochs a supernet needs differs from one data set to another: where the backbone's features fit,
    many overfit the training images, and where they do not, few leave all subnets unfinished, which says
    little of what they will be (docs/log/supernet_length.md). The loss on unseen images knows both. The
    median, because one subnet that overflows says nothing of the others.
    """
    of_folds = [scorer.score(i, np.arange(n), architectures) for i, n in enumerate(scorer.sizes)]
    losses = np.concatenate([found.losses for found in of_folds], axis=1).mean(axis=1, dtype=np.float64)
    losses = np.where(np.isfinite(losses), losses, np.inf)
    return Judgement(float(np.median(losses)), sum(found.image_passes for found in of_folds))
