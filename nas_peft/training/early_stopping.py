"""Stopping the trainings of a row that are behind the others of the same row: successive halving."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import ASHAScheduler, FIFOScheduler

from nas_peft.training.training import Training

REDUCTION = 3


def competitors(trainings: Sequence[Training]) -> dict[int, tuple[str, int]]:
    """The numbers of the trainings that compete for one place, and for which one.

    They share name and seed, differ in their learning rates, and are scored on the validation part.
    """
    places: dict[tuple[str, int], list[int]] = defaultdict(list)
    for number, training in enumerate(trainings):
        if training.on == "train":
            places[training.name, training.seed].append(number)
    return {
        number: place
        for place, numbers in places.items()
        if len({trainings[n].recipe.lr for n in numbers}) > 1
        for number in numbers
    }


class StopCompetitors(FIFOScheduler):
    """Asynchronous successive halving among the trainings of each place; all others run to their end.

    After 1, 3, 9, ... epochs a training goes on if its validation loss is among the best third of those that
    have come as far (ASHA, Li et al. 2018, arXiv 1810.05934). The first to come always goes on, so what is
    stopped depends on who is first.
    """

    def __init__(self, trainings: Sequence[Training], places: Mapping[int, tuple[str, int]]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._places = places
        epochs = {place: trainings[number].recipe.epochs for number, place in places.items()}
        self._halvings = {
            place: ASHAScheduler(
                time_attr="epoch", metric="loss", mode="min", max_t=most, reduction_factor=REDUCTION
            )
            for place, most in epochs.items()
        }

    def _halving(self, trial: Trial) -> Any:
        place = self._places.get(trial.config["number"])
        return None if place is None else self._halvings[place]

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        """A new trial, or one that starts again."""
        if halving := self._halving(trial):
            halving.on_trial_add(tune_controller, trial)

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> Any:
        """Whether it goes on."""
        if halving := self._halving(trial):
            return halving.on_trial_result(tune_controller, trial, result)
        return self.CONTINUE

    def on_trial_complete(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> None:
        """A trial has ended."""
        if halving := self._halving(trial):
            halving.on_trial_complete(tune_controller, trial, result)
