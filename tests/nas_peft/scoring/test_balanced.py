"""The class-balanced loss of candidates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from nas_peft.scoring.balanced import scorer_for
from nas_peft.scoring.scorer import Found
from nas_peft.settings.metric import BALANCED, METRICS
from search_spaces import Architecture

LABELS = [torch.tensor([0, 0, 0, 0, 2]), torch.tensor([0, 2, 1])]
LOSSES = [np.float32([[1, 2, 3, 4, 10]]), np.float32([[5, 20, 7]])]


@dataclass(frozen=True)
class Table:
    """Scores that are known beforehand."""

    sizes: Sequence[int] = (5, 3)

    def score(self, fold: int, indices: NDArray[np.int64], architectures: Sequence[Architecture]) -> Found:
        losses = LOSSES[fold][:, indices]
        return Found(losses, losses < 3, 1.0)


def test_the_mean_is_that_of_the_classes_means() -> None:
    scorer = scorer_for("balanced-accuracy", Table(), LABELS)
    found = [scorer.score(fold, np.arange(n), [Architecture.empty(2)]) for fold, n in enumerate(scorer.sizes)]
    losses = np.concatenate([of.losses for of in found], axis=1)
    assert losses.dtype == np.float32
    assert float(losses.mean()) == pytest.approx(np.mean([(1 + 2 + 3 + 4 + 5) / 5, 7, (10 + 20) / 2]))
    part = scorer.score(1, np.array([2, 0]), [Architecture.empty(2)])
    assert np.array_equal(part.losses, found[1].losses[:, [2, 0]])
    hits = np.concatenate([of.hits for of in found], axis=1)
    assert float(hits.mean()) == pytest.approx(np.mean([2 / 5, 0, 0]))


def test_other_metrics_rank_by_the_plain_loss() -> None:
    table = Table()
    for metric in METRICS:
        assert (scorer_for(metric, table, LABELS) is table) == (metric not in BALANCED)
