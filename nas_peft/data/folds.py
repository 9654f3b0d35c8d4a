"""Folds of a split, each image left out once."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def stratified_folds(labels: Tensor, folds: int, rng: np.random.Generator) -> list[Tensor]:
    """Ascending indices ``(n_f,)`` of each of ``folds`` stratified folds, which hold each image once.

    The folds differ by at most one image in size, and by at most one image of any class. Images are dealt out
    class by class in random order, each class continuing at the fold where the previous class ended.

    Args:
        labels: int64 ``(N,)``.
        folds: number of folds, at least 2.
        rng: random order of the images.

    Raises ``ValueError`` for fewer than 2 folds and for fewer images than folds.
    """
    if folds < 2:
        raise ValueError(f"folds is {folds}; fewer than 2 leave nothing out")
    if len(labels) < folds:
        raise ValueError(f"{len(labels)} images cannot make {folds} folds")
    values = labels.numpy()
    order = np.concatenate([rng.permutation(np.flatnonzero(values == c)) for c in np.unique(values)])
    return [torch.from_numpy(np.sort(order[fold::folds])) for fold in range(folds)]


def others(folds: list[Tensor], left_out: int) -> Tensor:
    """Ascending indices of all folds except ``left_out``."""
    kept = torch.cat([fold for i, fold in enumerate(folds) if i != left_out])
    return kept.sort().values
