"""Which separate trainings share a process and a frozen backbone."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from itertools import pairwise

from nas_peft.settings.methods import METHODS
from nas_peft.training.training import Training
from supernet.modules import ShallowPrompts

ON_A_GPU = 8
"""Trainings of a pack at most where the settings do not say: a small backbone then keeps a GPU busy."""


def pack_size(trainings: int, gpu_places: int) -> int:
    """The trainings of a pack at most, unless the settings say.

    On GPUs as many as leave none of them idle, and `ON_A_GPU` at most; 1 without GPUs, where ``gpu_places``,
    the number of trainings that the GPUs have room for at a time, is 0.
    """
    return min(ON_A_GPU, math.ceil(trainings / gpu_places)) if gpu_places else 1


def plan_packs(trainings: Sequence[Training], most: int) -> list[tuple[int, ...]]:
    """Divide ``trainings`` into packs: tuples of their indices, each index in one of them.

    Only methods that leave the backbone frozen and train modules share a pack, and only trainings with one
    recipe but for learning rate and augmentation, one head recipe, one execution, the same images, and as
    many tokens (prompts that go through all layers are tokens). The packs of a group differ by one training
    at most, and consist of trainings that follow one another. Packs are ordered by their first training.

    Args:
        trainings: in the order in which they are to start.
        most: trainings of a pack.
    """
    groups: dict[Hashable, list[int]] = {}
    for number, training in enumerate(trainings):
        packed = METHODS[training.method].trains == "modules"
        groups.setdefault(_shared(training) if packed else number, []).append(number)
    packs = []
    for members in groups.values():
        count = math.ceil(len(members) / most)
        bounds = [i * len(members) // count for i in range(count + 1)]
        packs += [tuple(members[a:b]) for a, b in pairwise(bounds)]
    return sorted(packs)


def _shared(training: Training) -> Hashable:
    """The settings that the trainings of a pack have in common."""
    recipe = training.recipe
    shared = recipe.epochs, recipe.batch_size, recipe.label_smoothing
    tokens = training.architecture[ShallowPrompts.kind][0]
    return shared, training.head, training.on, training.without, training.execution, tokens
