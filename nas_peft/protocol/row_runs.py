"""The trainings of one row, which learning rate is its own, and why it failed if it did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from nas_peft.protocol.rows import Row, Scores
from search_spaces import InputError

Record: TypeAlias = Mapping[str, Any]
"""What `run_training` says of a training."""


@dataclass
class RowRuns:
    """What was trained for ``row``.

    ``tried`` are the records of all its trainings on the training part, ``chosen`` those of them at the
    learning rate that is used, one for each seed, and ``finals`` those of its final models. ``error`` says in
    which training and why it failed; a row that failed is left out of every choice.
    """

    row: Row
    tried: list[Record] = field(default_factory=list)
    chosen: list[Record] = field(default_factory=list)
    finals: list[Record] = field(default_factory=list)
    error: str | None = None

    @property
    def scores(self) -> Scores:
        """On validation data."""
        return Scores.of(self.chosen)

    @property
    def lr(self) -> float | None:
        """The learning rate that is used; ``None`` where there is none, or nothing was trained."""
        recipe = self.chosen[0]["recipe"] if self.chosen else None
        return recipe["lr"] if recipe else None

    def add_tried(self, records: Sequence[Record], seed: int) -> None:
        """More trainings on the training part; those of ``seed`` choose the rate if none is chosen yet."""
        self.tried += records
        lr = self.lr
        if lr is None:
            try:
                lr = best_rate([r for r in records if r["seed"] == seed])
            except InputError as error:
                self.error = str(error)
                return
        used = [r for r in records if r["recipe"]["lr"] == lr]
        self.chosen += used
        self._note(used)

    def set_finals(self, records: Sequence[Record]) -> None:
        """The records of its final models."""
        self.finals = list(records)
        self._note(records)

    def _note(self, records: Sequence[Record]) -> None:
        self.error = self.error or next((reason for r in records if (reason := failure(r))), None)


def failure(record: Record) -> str | None:
    """Why a training cannot be used: what it failed of, or that it was stopped early; ``None`` if it can."""
    if record.get("error") is not None:
        reason = record["error"]
    elif record.get("stopped_at") is not None:
        reason = f"stopped early, after epoch {record['stopped_at']}"
    else:
        return None
    part = "" if record["on"] == "train" else "final model, "
    return f"{part}seed {record['seed']}, learning rate {record['recipe']['lr']:g}: {reason}"


def best_rate(records: Sequence[Record]) -> float:
    """The learning rate with the lowest validation loss, then the best accuracy, then the first.

    Trainings that failed or were stopped early cannot be chosen. Raises `InputError` if none is left, with
    the reason of the first.
    """
    usable = [record for record in records if failure(record) is None]
    if not usable:
        raise InputError(str(failure(records[0])))
    best = min(usable, key=lambda record: Scores.of([record]).rank_key())
    return float(best["recipe"]["lr"])
