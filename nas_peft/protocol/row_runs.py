"""The trainings of one row, its chosen learning rate, and its error if it failed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from nas_peft.protocol.decision import decide
from nas_peft.protocol.rows import Row, Scores
from nas_peft.training.training_record import TrainingRecord
from search_spaces import InputError


@dataclass
class RowRuns:
    """The trainings of ``row``.

    ``tried`` are the records of all trainings on the training set; ``chosen`` are those at the chosen
    learning rate, one for each seed; ``finals`` are those of the final models. ``error`` says which training
    failed and why; a failed row is excluded from every choice.
    """

    row: Row
    tried: list[TrainingRecord] = field(default_factory=list)
    chosen: list[TrainingRecord] = field(default_factory=list)
    finals: list[TrainingRecord] = field(default_factory=list)
    error: str | None = None

    @property
    def scores(self) -> Scores:
        """Validation scores at the chosen learning rate."""
        return Scores.of(self.chosen)

    @property
    def lr(self) -> float | None:
        """The chosen learning rate; ``None`` if no training has been chosen."""
        return self.chosen[0].lr if self.chosen else None

    def add_tried(self, records: Sequence[TrainingRecord], seed: int) -> None:
        """Add trainings on the training set; the first time, those of ``seed`` choose the learning rate."""
        self.tried += records
        lr = self.lr
        if lr is None:
            try:
                lr = best_rate([r for r in records if r.seed == seed])
            except InputError as error:
                self.error = str(error)
                return
        used = [r for r in records if r.lr == lr]
        self.chosen += used
        self._note(used)

    def set_finals(self, records: Sequence[TrainingRecord]) -> None:
        """Set the records of the final models."""
        self.finals = list(records)
        self._note(records)

    def _note(self, records: Sequence[TrainingRecord]) -> None:
        self.error = self.error or next((record.failure for record in records if record.failure), None)


def best_rate(records: Sequence[TrainingRecord]) -> float:
    """The learning rate of the training that `decision.decide` chooses.

    Trainings that failed or were stopped early cannot be chosen. Raises `InputError` with the first reason if
    that is true of all.
    """
    usable = [record for record in records if record.failure is None]
    if not usable:
        raise InputError(str(records[0].failure))
    trainings = {record.training.key: record for record in usable}
    chosen = decide([Scores.of([record]).contestant(key, 0) for key, record in trainings.items()])
    return trainings[chosen.name].lr
