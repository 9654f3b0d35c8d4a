"""Folds of a split, each image left out once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from search_spaces.errors import InputError


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


def domain_folds(domains: Sequence[str | None], labels: Tensor) -> dict[str, Tensor]:
    """Ascending indices ``(n_d,)`` of the images of each domain, by name; empty for fewer than two domains.

    ``domains`` has the domain of each image. Raises `InputError` for a domain that alone has the images of a
    class: without it nothing could be learnt of that class.
    """
    names = sorted({name for name in domains if name is not None})
    if len(names) < 2:
        return {}
    found = {
        name: torch.tensor([i for i, domain in enumerate(domains) if domain == name], dtype=torch.int64)
        for name in names
    }
    for name, inside in found.items():
        outside = torch.ones(len(labels), dtype=torch.bool)
        outside[inside] = False
        if missing := set(labels.tolist()) - set(labels[outside].tolist()):
            raise InputError(
                f"the training images of {len(missing)} classes are all in the domain '{name}', so that it "
                "cannot be left out for --objective robust; add images of another domain, or leave --domains "
                "out"
            )
    return found
