"""Classes by their number of training images: many, medium, few."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

GROUPS = ("many", "medium", "few")
UNEVEN = 2.0
"""Ratio of the largest to the smallest class from which the groups say something."""


@dataclass(frozen=True)
class FrequencyGroup:
    """A third of the classes: their labels, and the smallest and largest number of training images."""

    name: str
    labels: tuple[int, ...]
    fewest: int
    most: int


def frequency_groups(counts: Sequence[int]) -> tuple[FrequencyGroup, ...]:
    """The thirds of the classes by ``counts``, the training images of each class; most images first.

    Thirds instead of the bounds of the long-tailed sets of the literature (100 and 20 images), because those
    put all classes of a small data set into one group. Classes of equal counts are ordered by label. There
    are no groups for fewer than three classes, and none where the largest class has less than twice the
    images of the smallest one.
    """
    if len(counts) < len(GROUPS) or max(counts) < UNEVEN * max(1, min(counts)):
        return ()
    order = sorted(range(len(counts)), key=lambda label: (-counts[label], label))
    found = []
    for number, name in enumerate(GROUPS):
        ends = (number * len(order) // len(GROUPS), (number + 1) * len(order) // len(GROUPS))
        labels = order[slice(*ends)]
        of_them = [counts[label] for label in labels]
        found.append(FrequencyGroup(name, tuple(sorted(labels)), min(of_them), max(of_them)))
    return tuple(found)
