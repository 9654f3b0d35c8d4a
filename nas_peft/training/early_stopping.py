"""Early stopping of the trainings of a row that are behind the rest of the row: successive halving."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from nas_peft.training.training import Training
from supernet import Recipe

REDUCTION = 3
"""One in this many trainings continues after each rung."""


class Place(NamedTuple):
    """The place that trainings compete for; the learning rate in the recipe means nothing."""

    name: str
    seed: int
    recipe: Recipe


def competitors(trainings: Sequence[Training]) -> dict[int, Place]:
    """The place that each competing training competes for, by the training's number.

    Trainings compete when they share name, seed and recipe but for their learning rates, and
    are scored on the validation set. After the same number of epochs a longer training is at a higher
    learning rate, and a more strongly augmented one has learned less: its loss does not say yet how it ends.
    """
    places: dict[Place, list[int]] = defaultdict(list)
    for number, training in enumerate(trainings):
        if training.on == "train" and training.without is None:
            recipe = training.recipe
            place = Place(training.name, training.seed, replace(recipe, lr=1.0))
            places[place].append(number)
    return {
        number: place
        for place, numbers in places.items()
        if len({trainings[n].recipe.lr for n in numbers}) > 1
        for number in numbers
    }


class Halvings:
    """Asynchronous successive halving among the trainings of each place; the rest run to their end.

    After 1, 3, 9, ... epochs (the rungs) a training continues if its validation loss is in the best third of
    the trainings of its place that have reached that rung (ASHA, Li et al. 2018, arXiv 1810.05934). The first
    training to reach a rung always continues, so the outcome depends on their order.
    """

    def __init__(self, trainings: Sequence[Training], places: Mapping[int, Place]) -> None:
        self._places = places
        self._epochs = {number: trainings[number].recipe.epochs for number in places}
        self._losses: dict[tuple[Place, int], dict[int, float]] = defaultdict(dict)

    def continues(self, number: int, epoch: int, loss: float) -> bool:
        """Whether the training with this number continues after ``epoch``, where its loss is ``loss``.

        A training that is repeated, because its worker died, is judged by its first loss at each rung.
        """
        place = self._places.get(number)
        if place is None or epoch >= self._epochs[number] or not _is_rung(epoch):
            return True
        rung = self._losses[place, epoch]
        others = [rung[other] for other in rung if other != number]
        rung.setdefault(number, loss)
        return not others or rung[number] <= float(np.percentile(others, 100 / REDUCTION))


def _is_rung(epoch: int) -> bool:
    while epoch > 1 and epoch % REDUCTION == 0:
        epoch //= REDUCTION
    return epoch == 1
