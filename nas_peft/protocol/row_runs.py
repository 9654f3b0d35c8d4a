"""The trainings of one row, its chosen recipe, and its error if it failed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from nas_peft.protocol.decision import decide
from nas_peft.protocol.rows import Row, Scores
from nas_peft.training.training_record import TrainingRecord
from search_spaces import InputError
from supernet import Recipe


@dataclass
class RowRuns:
    """The trainings of ``row``.

    ``tried`` are the records of all trainings on the training set; ``chosen`` are those by the chosen
    recipe, one for each seed; ``finals`` are those of the final models. ``error`` says which training
    failed and why; a failed row is excluded from every choice.
    """

    row: Row
    tried: list[TrainingRecord] = field(default_factory=list)
    chosen: list[TrainingRecord] = field(default_factory=list)
    finals: list[TrainingRecord] = field(default_factory=list)
    error: str | None = None

    @property
    def scores(self) -> Scores:
        """Validation scores by the chosen recipe."""
        return Scores.of(self.chosen)

    @property
    def recipe(self) -> Recipe | None:
        """The chosen recipe; ``None`` if no training has been chosen."""
        return self.chosen[0].training.recipe if self.chosen else None

    def add_tried(self, records: Sequence[TrainingRecord], seed: int) -> None:
        """Add trainings on the training set; the first time, those of ``seed`` choose the recipe."""
        self.tried += records
        recipe = self.recipe
        if recipe is None:
            try:
                recipe = best_recipe([r for r in records if r.seed == seed])
            except InputError as error:
                self.error = str(error)
                return
        used = [r for r in records if r.training.recipe == recipe]
        self.chosen += used
        self._note(used)

    def set_finals(self, records: Sequence[TrainingRecord]) -> None:
        """Set the records of the final models."""
        self.finals = list(records)
        self._note(records)

    def _note(self, records: Sequence[TrainingRecord]) -> None:
        self.error = self.error or next((record.failure for record in records if record.failure), None)


def best_recipe(records: Sequence[TrainingRecord]) -> Recipe:
    """The recipe of the training that `decision.decide` chooses.

    Trainings that failed or were stopped early cannot be chosen. Raises `InputError` with the first reason if
    that is true of all.
    """
    usable = [record for record in records if record.failure is None]
    if not usable:
        raise InputError(str(records[0].failure))
    trainings = {record.training.key: record for record in usable}
    chosen = decide([Scores.of([record]).contestant(key, 0) for key, record in trainings.items()])
    return trainings[chosen.name].training.recipe
