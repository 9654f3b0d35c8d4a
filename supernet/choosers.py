"""Choosers of the architectures that a training step trains."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
import torch

from search_spaces import Architecture, InputError
from supernet.architecture_batch import ArchitectureBatch

Draw: TypeAlias = Callable[[np.random.Generator], Architecture]
"""Draws one architecture, such as ``SearchSpace.sample`` or ``BudgetSampler.sample``."""


@dataclass(frozen=True)
class Step:
    """One training step: each of ``passes`` is run on all images of the batch.

    A pass is one architecture for the batch, or one for each image; the loss of the step is the mean over the
    passes. With ``distil`` the first pass learns from the labels, and all others learn from its detached
    softmax. Raises ``ValueError`` for no passes, and for ``distil`` with a single pass.
    """

    passes: tuple[Architecture | ArchitectureBatch, ...]
    distil: bool = False

    def __post_init__(self) -> None:
        if len(self.passes) < 1 + self.distil:
            raise ValueError(
                f"a step {'with distillation ' if self.distil else ''}has {len(self.passes)} passes; "
                f"give at least {1 + self.distil}"
            )


class Chooser(Protocol):
    """Chooses the passes of a step on ``batch`` images; all randomness comes from ``rng``."""

    def __call__(self, rng: np.random.Generator, batch: int) -> Step:
        """The passes of one step."""


class Constant:
    """The same architecture in every step: retraining."""

    def __init__(self, architecture: Architecture) -> None:
        self.architecture = architecture

    def __call__(self, rng: np.random.Generator, batch: int) -> Step:
        return Step((self.architecture,))


class OnePath:
    """One random architecture for all images of a step, as in NOAH, after SPOS (arXiv 1904.00420)."""

    def __init__(self, draw: Draw) -> None:
        self.draw = draw

    def __call__(self, rng: np.random.Generator, batch: int) -> Step:
        return Step((self.draw(rng),))


class OnePerImage:
    """One random architecture for each image of a step.

    A step averages the gradient over ``batch`` architectures, with modules at capacity. It takes a few per
    cent more time than `OnePath` on ViT-B, and up to twice the time on a backbone with fewer tokens than the
    largest prompts.
    """

    def __init__(self, draw: Draw, kinds: tuple[str, ...]) -> None:
        self.draw = draw
        self.kinds = kinds

    def __call__(self, rng: np.random.Generator, batch: int) -> Step:
        return Step((ArchitectureBatch.of([self.draw(rng) for _ in range(batch)], self.kinds),))


class Groups:
    """One random architecture for each of ``groups`` contiguous groups of the images of a step.

    A compromise between `OnePath` (one group) and `OnePerImage` (a group for each image): each architecture
    gets the gradient of several images, and a step still averages over several architectures. Groups of 8
    images in a batch of 64 gave better inherited accuracy than both after 10 and 30 epochs, with
    architectures drawn around the budget (docs/log/chooser_study.md). The sizes of a batch's groups differ
    by at most one image; image b of B is in group ⌊b·groups / B⌋.

    Raises `InputError` for fewer than one group.
    """

    def __init__(self, draw: Draw, kinds: tuple[str, ...], groups: int) -> None:
        if groups < 1:
            raise InputError(f"groups is {groups}; give at least 1")
        self.draw = draw
        self.kinds = kinds
        self.groups = groups

    def __call__(self, rng: np.random.Generator, batch: int) -> Step:
        groups = min(self.groups, batch)
        drawn = ArchitectureBatch.of([self.draw(rng) for _ in range(groups)], self.kinds)
        return Step((drawn.take(torch.arange(batch) * groups // batch),))


class Sandwich:
    """The largest architecture, the smallest, and ``random`` random ones, each on all images of a step.

    This is the sandwich rule of Yu and Huang (arXiv 1903.05134): sizes share weights by nesting, so all sizes
    between the largest and the smallest improve with these two. ``distil`` is their in-place distillation:
    the largest learns from the labels, the rest minimise the cross-entropy against its detached softmax.

    A step takes ``2 + random`` passes; at equal cost the number of epochs is divided by this.

    Raises `InputError` for fewer than one random architecture, and unless ``largest`` covers ``smallest``.
    """

    def __init__(
        self,
        draw: Draw,
        largest: Architecture,
        smallest: Architecture,
        random: int = 1,
        distil: bool = False,
    ) -> None:
        if random < 1:
            raise InputError(f"the sandwich has {random} random architectures; give at least 1")
        if not largest.covers(smallest):
            raise InputError(
                f"the sandwich's largest, {largest.describe()}, does not cover its smallest, "
                f"{smallest.describe()}; give one that does"
            )
        self.draw = draw
        self.largest = largest
        self.smallest = smallest
        self.random = random
        self.distil = distil

    def __call__(self, rng: np.random.Generator, batch: int) -> Step:
        drawn = (self.draw(rng) for _ in range(self.random))
        return Step((self.largest, self.smallest, *drawn), self.distil)
