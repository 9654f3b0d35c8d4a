"""The trainings of one row, which learning rate is its own, and why it failed if it did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from nas_peft.protocol.rows import Row, Scores
from nas_peft.training.training_record import TrainingRecord
from search_spaces import InputError


@dataclass
class RowRuns:
    """What was trained for ``row``.

    ``tried`` are the records of all its trainings on the training part, ``chosen`` those of them at the
    learning rate that is used, one for each seed, and ``finals`` those of its final models. ``error`` says in
    which training and why it failed; a row that failed is left out of every choice.
    """

    row: Row
    tried: list[TrainingRecord] = field(default_factory=list)
    chosen: list[TrainingRecord] = field(default_factory=list)
    finals: list[TrainingRecord] = field(default_factory=list)
    error: str | None = None

    @property
    def scores(self) -> Scores:
        """On validation data."""
        return Scores.of(self.chosen)

    @property
    def lr(self) -> float | None:
        """The learning rate that is used; ``None`` where there is none, or nothing was trained."""
        return self.chosen[0].lr if self.chosen else None

    def add_tried(self, records: Sequence[TrainingRecord], seed: int) -> None:
        """More trainings on the training part; those of ``seed`` choose the rate if none is chosen yet."""
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
        """The records of its final models."""
        self.finals = list(records)
        self._note(records)

    def _note(self, records: Sequence[TrainingRecord]) -> None:
        self.error = self.error or next((record.failure for record in records if record.failure), None)


def best_rate(records: Sequence[TrainingRecord]) -> float:
    """The learning rate with the lowest validation loss, then the best accuracy, then the first.

    Trainings that failed or were stopped early cannot be chosen. Raises `InputError` if none is left, with
    the reason of the first.
    """
    usable = [record for record in records if record.failure is None]
    if not usable:
        raise InputError(str(records[0].failure))
    best = min(usable, key=lambda record: Scores.of([record]).rank_key())
    return best.lr
