"""The trainings of one row, its chosen recipe, and its error if it failed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from nas_peft.protocol.decision import ranked
from nas_peft.protocol.halving import BEYOND_NOISE, is_better
from nas_peft.protocol.rows import Row, Scores
from nas_peft.settings.metric import Metric
from nas_peft.training.training_record import TrainingRecord
from search_spaces import InputError
from supernet import Recipe


@dataclass
class RowRuns:
    """The trainings of ``row``.

    ``tried`` are the records of all trainings on the training set; ``chosen`` are those by the chosen
    recipe, one for each seed; ``finals`` are those of the final models. ``error`` says which training
    failed and why; a failed row is excluded from every choice. ``dropped_after`` is the round of recipes
    after which halving dropped the row, counted from 1; a dropped row is excluded from the choices that
    follow. ``latest`` are the trainings that were added last. ``metric`` is the one that decides.
    """

    row: Row
    tried: list[TrainingRecord] = field(default_factory=list)
    chosen: list[TrainingRecord] = field(default_factory=list)
    finals: list[TrainingRecord] = field(default_factory=list)
    error: str | None = None
    dropped_after: int | None = None
    latest: list[TrainingRecord] = field(default_factory=list)
    metric: Metric = "accuracy"

    @property
    def competes(self) -> bool:
        """Whether the row takes part in the choice."""
        return self.error is None and self.dropped_after is None

    @property
    def scores(self) -> Scores:
        """Validation scores by the chosen recipe."""
        return Scores.of(self.chosen, self.metric)

    @property
    def recipe(self) -> Recipe | None:
        """The chosen recipe; ``None`` if no training has been chosen."""
        return self.chosen[0].training.recipe if self.chosen else None

    @property
    def ranked(self) -> list[Recipe]:
        """The usable recipes of the latest trainings, best first."""
        return ranked_recipes(self.latest, metric=self.metric)

    @property
    def tried_recipes(self) -> list[Recipe]:
        """The recipes of all trainings on the training set."""
        return [record.training.recipe for record in self.tried]

    def add_tried(self, records: Sequence[TrainingRecord], seed: int) -> None:
        """Add trainings on the training set, and choose the recipe again among those of ``seed`` so far."""
        self.tried += records
        self.latest = list(records)
        try:
            recipe = best_recipe([r for r in self.tried if r.seed == seed], self.metric)
        except InputError as error:
            self.error = str(error)
            return
        self.chosen = [r for r in self.tried if r.training.recipe == recipe]
        self.error = next((record.failure for record in self.chosen if record.failure), None)

    def add_seeds(self, records: Sequence[TrainingRecord]) -> None:
        """Add the trainings of further seeds by the chosen recipe, which stays the chosen one."""
        self.tried += records
        self.chosen = [*self.chosen, *records]
        self.error = next((record.failure for record in self.chosen if record.failure), None)

    def add_late(self, records: Sequence[TrainingRecord], seed: int) -> None:
        """Add trainings with late choices, which are chosen only if they are better beyond the noise.

        That is, by `halving.BEYOND_NOISE`: of several that are no better, one always looks the best.
        Where shifted images count, the usual rule decides, which has more images to go by.
        """
        before = self.scores.contestant("before", 0)
        chosen = list(self.chosen)
        self.add_tried(records, seed)
        late = self.scores.contestant("late", 0)
        if before.shifted_loss is None and not is_better(before, late, BEYOND_NOISE):
            self.chosen = chosen

    def set_finals(self, records: Sequence[TrainingRecord]) -> None:
        """Set the records of the final models."""
        self.finals = list(records)
        self.error = self.error or next((record.failure for record in records if record.failure), None)


def best_recipe(records: Sequence[TrainingRecord], metric: Metric = "accuracy") -> Recipe:
    """The recipe of the training that `decision.decide` chooses.

    Trainings that failed or were stopped early cannot be chosen. Raises `InputError` with the first reason if
    that is true of all.
    """
    found = ranked_recipes(records, 1, metric)
    if not found:
        raise InputError(str(records[0].failure))
    return found[0]


def ranked_recipes(
    records: Sequence[TrainingRecord], count: int | None = None, metric: Metric = "accuracy"
) -> list[Recipe]:
    """The recipes of the trainings that `decision.decide` chooses one after another, at most ``count``.

    Trainings that failed or were stopped early cannot be chosen.
    """
    usable = {record.training.key: record for record in records if record.failure is None}
    rivals = [Scores.of([record], metric).contestant(key, 0) for key, record in usable.items()]
    names = ranked(rivals, count)
    return [usable[name].training.recipe for name in names]
