"""Class-balanced scores of candidates, for metrics that count every class alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nas_peft.scoring.scorer import Found, Scorer
from nas_peft.settings.metric import BALANCED, Metric
from search_spaces import Architecture
from supernet.class_balance import class_weights


@dataclass(frozen=True)
class BalancedScorer:
    """A scorer whose losses and hits are weighted by image, so that their means count classes alike.

    ``weights`` are float32 ``(n,)`` for each fold, with a mean of 1 over all folds.
    """

    scorer: Scorer
    weights: Sequence[NDArray[np.float32]]

    @property
    def sizes(self) -> Sequence[int]:
        """Images of each fold."""
        return self.scorer.sizes

    def score(self, fold: int, indices: NDArray[np.int64], architectures: Sequence[Architecture]) -> Found:
        """See `Scorer.score`."""
        found = self.scorer.score(fold, indices, architectures)
        weights = self.weights[fold][indices]
        return replace(found, losses=found.losses * weights, hits=found.hits * weights)


def scorer_for(metric: Metric, scorer: Scorer, labels: Sequence[Tensor]) -> Scorer:
    """The scorer by which a search with ``metric`` ranks; ``labels (n,)`` are those of each fold's images.

    The score of a subnet is its mean loss on the images, and with balanced accuracy or macro F1 the mean over
    classes of their mean losses. Its accuracy is then the balanced accuracy.
    """
    if metric not in BALANCED:
        return scorer
    every = torch.cat(list(labels)).cpu()
    of_classes = class_weights(every, int(every.max()) + 1).float()
    return BalancedScorer(scorer, [of_classes[of_fold.cpu()].numpy() for of_fold in labels])
