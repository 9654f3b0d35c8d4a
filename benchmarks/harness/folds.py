"""Folds of a data set's images, the same in every study."""

from __future__ import annotations

import torch
from torch import Tensor

SEED = 0


def folds_of(labels: Tensor, folds: int) -> Tensor:
    """The fold of each image ``(N,)``: every class is spread evenly over ``folds``."""
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(SEED))
    order = order[torch.argsort(labels[order], stable=True)]
    fold = torch.empty(len(labels), dtype=torch.long)
    fold[order] = torch.arange(len(labels)) % folds
    return fold
