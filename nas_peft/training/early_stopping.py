"""Early stopping of the trainings of a row that are behind the rest of the row: successive halving."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import ASHAScheduler, FIFOScheduler

from nas_peft.training.training import Training

REDUCTION = 3


def competitors(trainings: Sequence[Training]) -> dict[int, tuple[str, int]]:
    """The place, a name and a seed, that each competing training competes for, by the training's number.

    Trainings compete when they share name and seed, differ in their learning rates, and are scored on the
    validation set.
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
    """Asynchronous successive halving among the trainings of each place; the rest run to their end.

    After 1, 3, 9, ... epochs a training continues if its validation loss is in the best third of the
    trainings that have reached that epoch (ASHA, Li et al. 2018, arXiv 1810.05934). The first training to
    reach an epoch always continues, so the outcome depends on their order.
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
        """Register a new or restarted trial."""
        if halving := self._halving(trial):
            halving.on_trial_add(tune_controller, trial)

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> Any:
        """The decision whether the trial continues."""
        if halving := self._halving(trial):
            return halving.on_trial_result(tune_controller, trial, result)
        return self.CONTINUE

    def on_trial_complete(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> None:
        """Register the end of a trial."""
        if halving := self._halving(trial):
            halving.on_trial_complete(tune_controller, trial, result)
