"""Random draws of images in which each class keeps its share.

The draws return indices and take a generator, so equal seeds give equal draws.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from search_spaces.errors import InputError

Indices = NDArray[np.int64]


def too_few_images(name: str, has: int, needs: int, parts: Sequence[str]) -> InputError:
    """The error for a class with fewer images than its splits need."""
    *first, last = parts
    where = f"one each for {', '.join(first)} and {last}" if first else f"for {last}"
    return InputError(
        f"class '{name}' has {has} image{'' if has == 1 else 's'}, {needs} {'is' if needs == 1 else 'are'} "
        f"needed ({where}); add images of it or leave the class out"
    )


def proportional_counts(counts: Indices, size: int) -> Indices:
    """Images of each class in a split of ``size`` images, by the method of largest remainders.

    Each count is within one of ``size * counts / counts.sum()``. A class that has images gets at least one,
    so with more classes than ``size`` the counts sum to more than ``size``. Equal remainders favour the lower
    class index.

    Args:
        counts: images per class, shape (number of classes,).
        size: total number of images wanted.
    """
    exact = size * counts / max(int(counts.sum()), 1)
    shares = np.floor(exact).astype(np.int64)
    missing = size - int(shares.sum())
    # A stable sort makes ties fall to the lower index on every platform.
    by_remainder = np.argsort(-(exact - shares), kind="stable")
    shares[by_remainder[:missing]] += 1
    return np.where(counts > 0, np.maximum(shares, 1), 0)


def draw_stratified(
    labels: Indices,
    size: int,
    rng: np.random.Generator,
    *,
    classes: Sequence[str],
    parts: Sequence[str],
    keep: int = 1,
    groups: Indices | None = None,
) -> Indices:
    """Indices of about ``size`` images, stratified by class; images of each class remain.

    Args:
        labels: class indices, shape (N,).
        size: images to draw; ``proportional_counts`` says when the result has more.
        rng: random order of the images.
        classes: class names, for the error.
        parts: splits that need images of each class, for the error.
        keep: images of a class that must remain in each group where the class occurs.
        groups: current split of each image, shape (N,); by default one split for all.

    Returns:
        The drawn indices in ascending order.

    Raises:
        InputError: a class has too few images to give one and keep ``keep`` in each group.
    """
    groups = np.zeros_like(labels) if groups is None else groups
    counts = np.bincount(labels, minlength=len(classes)).astype(np.int64)
    shares = proportional_counts(counts, size)
    drawn = []
    for label in np.flatnonzero(counts).tolist():
        members = rng.permutation(np.flatnonzero(labels == label))
        present = np.unique(groups[members])
        staying = np.concatenate([members[groups[members] == group][:keep] for group in present])
        leaving = members[~np.isin(members, staying)]
        if len(leaving) == 0 or len(staying) < keep * len(present):
            raise too_few_images(classes[label], int(counts[label]), keep * len(present) + 1, parts)
        drawn.append(leaving[: shares[label]])
    return np.sort(np.concatenate(drawn))


def draw_per_class(labels: Indices, number: int, rng: np.random.Generator) -> Indices:
    """Ascending indices of ``number`` images of every class, or of all images of a smaller class."""
    drawn = [rng.permutation(np.flatnonzero(labels == label))[:number] for label in np.unique(labels)]
    return np.sort(np.concatenate(drawn))
