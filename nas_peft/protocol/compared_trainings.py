"""The trainings of a comparison and the choice among them: recipes, seeds, final models."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from nas_peft.data import ProtocolError
from nas_peft.machine.peak_memory import largest
from nas_peft.protocol.decision import Contestant, Decision, decide
from nas_peft.protocol.halving import (
    LATE_STAGE,
    LEAST_ROUNDS,
    Rounds,
    can_be_better,
    longer_is_better,
    survivors,
)
from nas_peft.protocol.left_out import judged, trainings_without
from nas_peft.protocol.row_results import trained_params
from nas_peft.protocol.row_runs import RowRuns
from nas_peft.protocol.rows import Row, Scores, best_of, best_sizes, choose, may_be_exported
from nas_peft.run.run import Run
from nas_peft.run.stage_records import TrainingsRecord
from nas_peft.run.task_inputs import TaskInputs
from nas_peft.settings.methods import METHODS, Method
from nas_peft.training.ray_trainings import RayTrainings
from nas_peft.training.scored_training import scored_training
from nas_peft.training.training import Training
from nas_peft.training.training_record import TrainingRecord
from search_spaces import InputError
from supernet import TRAINABLE_SETS, Recipe


@dataclass(frozen=True)
class Choice:
    """The choice by validation: the row to export, the best searched subnet and the best single method.

    ``decision`` says what decided for the exported row.
    """

    exported: Row
    searched: Row | None
    single: Row | None
    decision: Decision


@dataclass(frozen=True)
class ComparedTrainings:
    """Trains the rows of a comparison; refuses to train once the test set has been opened.

    The costs of each stage are added to the run's. ``probe`` is the recipe of linear probes. Each training is
    also judged on ``domains`` that another one leaves out, see `left_out`.
    """

    run: Run[TaskInputs]
    runner: RayTrainings
    probe: Recipe
    domains: tuple[str, ...] = ()

    @property
    def seeds(self) -> list[int]:
        """The seeds of each row's trainings."""
        config = self.run.inputs.config
        return [config.seed + i for i in range(config.seeds)]

    def compare(self, rows: Sequence[Row]) -> list[RowRuns]:
        """Train each row on the training set: the first seed by every recipe, the rest by the best.

        If every row has one recipe, all seeds are trained at once. With halving the recipes start short, see
        `halving`: rows that were dropped after a round are trained no more, and the rounds end when more
        epochs are no longer better; the leading row then tries what has not joined yet.
        """
        config, first = self.run.inputs.config, self.seeds[0]
        rounds = Rounds.of(rows, config, self.probe)
        seeds = [first] if rounds.several else self.seeds
        runs = {row: RowRuns(row, metric=config.metric) for row in rows}
        for number in range(rounds.count):
            tried = {
                row: [
                    training
                    for recipe in recipes
                    for training in row.trainings(config, self.probe, seeds, "train", recipe)
                ]
                for row, found in runs.items()
                if found.dropped_after is None
                and (recipes := rounds.recipes(row, number, found.ranked, found.tried_recipes))
            }
            trained = self.train(tried, rounds.stage(number))
            for row, found in runs.items():
                found.latest = []
                if row in trained:
                    found.add_tried(trained[row], first)
            if number + 1 < rounds.count:
                if number + 1 >= LEAST_ROUNDS and not self._longer_is_better(runs):
                    self._try_late_choices(rounds, runs, ended_after=number)
                    break
                self._drop(runs, after=number + 1)
        if rounds.several and len(self.seeds) > 1:
            others = {
                row: row.trainings(config, self.probe, self.seeds[1:], "train", found.recipe)
                for row, found in runs.items()
                if found.competes
            }
            for row, records in self.train(others, "retraining").items():
                runs[row].add_seeds(records)
        return list(runs.values())

    def _longer_is_better(self, runs: Mapping[Row, RowRuns]) -> bool:
        """Whether the best training of the latest round is a reason for another, see `longer_is_better`.

        It is compared with the best of all rounds before.
        """
        latest: list[Contestant] = []
        before: list[Contestant] = []
        for row, found in runs.items():
            if row.group == "baseline" or not found.competes:
                continue
            params = trained_params(self.run.inputs, row)
            keys = {record.training.key for record in found.latest}
            for record in found.tried:
                if record.failure is None:
                    of = latest if record.training.key in keys else before
                    scores = Scores.of([record], found.metric)
                    of.append(scores.contestant(record.training.key, params))
        if not (latest and before):
            return bool(latest)
        best = {c.name: c for c in (*latest, *before)}
        return longer_is_better(best[decide(before).name], best[decide(latest).name])

    def _try_late_choices(self, rounds: Rounds, runs: Mapping[Row, RowRuns], ended_after: int) -> None:
        """Train the row that would be exported, and the baselines, with the choices that have not joined.

        Nothing is trained if the row has so few errors that no training could be better than the noise.
        """
        scores = {row: found.scores for row, found in runs.items() if found.competes}
        params = partial(trained_params, self.run.inputs)
        chosen = choose(scores, params, self.run.inputs.config.allow_full)
        if chosen is None or not can_be_better(scores[chosen[0]].contestant("leader", 0)):
            return
        tried = {}
        for row in scores:
            recipe = runs[row].recipe
            if recipe is not None and (row == chosen[0] or row.group == "baseline"):
                of_row = rounds.late(row, ended_after, recipe)
                tried[row] = [
                    training
                    for late in of_row
                    for training in row.trainings(
                        self.run.inputs.config, self.probe, self.seeds[:1], "train", late
                    )
                ]
        trainings = {row: of_row for row, of_row in tried.items() if of_row}
        if trainings:
            for row, records in self.train(trainings, LATE_STAGE).items():
                runs[row].add_late(records, self.seeds[0])

    def _drop(self, runs: Mapping[Row, RowRuns], after: int) -> None:
        """Drop the rows that `survivors` leaves out; a row that has failed so far may yet succeed."""
        scores = {row: found.scores for row, found in runs.items() if found.competes}
        kept = survivors(scores, partial(trained_params, self.run.inputs))
        for row in scores:
            if row not in kept:
                runs[row].dropped_after = after

    def finish(self, runs: Sequence[RowRuns]) -> Choice:
        """Choose by validation, and train the final models.

        Final models are trained for the best searched subnet, for each single method at its best size, and
        for all baselines. A row whose final model fails is excluded, and the choice is repeated. Raises
        `InputError` if every subnet has failed.
        """
        params = partial(trained_params, self.run.inputs)
        while True:
            scores = {found.row: found.scores for found in runs if found.competes}
            chosen = choose(scores, params, self.run.inputs.config.allow_full)
            searched, single = best_of("searched", scores, params), best_of("single", scores, params)
            if chosen is None or (searched is None and single is None):
                reasons = "; ".join(f"{r.row.name}: {r.error}" for r in runs if r.row.group != "baseline")
                raise InputError(f"no subnet could be trained: {reasons}")
            exported, decision = chosen
            choice = Choice(exported, searched, single, decision)
            baselines = [row for row in scores if row.group == "baseline"]
            in_final = [choice.searched, *best_sizes(scores, params), *baselines]
            finalists = [found for found in runs if found.row in in_final]
            models = {found.row: self.final_models(found) for found in finalists}
            records = self.train(models, "final training")
            for found in finalists:
                found.set_finals(records[found.row])
            if all(found.error is None for found in finalists):
                return choice

    def final_models(self, runs: RowRuns) -> list[Training]:
        """The trainings of a row's final models, one for each seed."""
        return runs.row.trainings(self.run.inputs.config, self.probe, self.seeds, "train_val", runs.recipe)

    def forget_others(self, runs: Sequence[RowRuns]) -> None:
        """Remove the weights of trainings on the training set that are of no use after the comparison.

        What remains is one training for each row without a final model: that of the first seed by the chosen
        recipe, for export. Ingredients of soups remain, too.
        """
        for found in runs:
            if not found.row.keeps_weights(self.run.inputs.config):
                stays = {r.training.key for r in found.chosen if r.seed == self.seeds[0] and not found.finals}
                tried = [record.training for record in found.tried]
                self.runner.forget(training for training in tried if training.key not in stays)

    def train(
        self, trainings: Mapping[Row, Sequence[Training]], stage: str
    ) -> dict[Row, list[TrainingRecord]]:
        """The records of each row's trainings, in order. Raises ``ProtocolError`` if the test set is open."""
        if self.run.inputs.dataset.test.opened:
            raise ProtocolError("the test set has been opened: nothing can be trained or chosen any more")
        flat = [training for of_row in trainings.values() for training in of_row]
        planned = [*flat, *trainings_without(flat, self.domains)]
        started = time.perf_counter()
        with self.run.bars.counted(f"{stage} (models)", len(planned)) as bar:
            done = self.runner.run(planned, bar, self._reported({row.name: row for row in trainings}))
            records = dict(zip((t.key for t in planned), done, strict=True))
        curves = [(r.training.method, r.curve) for r in records.values() if r.curve]
        peak = largest(r.peak_memory for r in records.values() if r.curve)
        records |= {t.key: judged(records[t.key], records, self.domains) for t in flat}
        found: dict[Row, list[TrainingRecord]] = {
            row: [records[training.key] for training in of_row] for row, of_row in trainings.items()
        }
        record = TrainingsRecord(
            seconds=time.perf_counter() - started,
            trainings=len(planned),
            image_passes=sum(curve.image_passes for _, curve in curves),
            image_passes_full=sum(c.image_passes for method, c in curves if _passes_twice(method)),
            peak_memory=peak,
        )
        self.run.costs.add(stage, record)
        return found

    def _reported(self, rows: Mapping[str, Row]) -> Callable[[TrainingRecord, bool], None]:
        """What reports each training of ``rows``, by name, to those who watch the run."""

        def report(record: TrainingRecord, found: bool) -> None:
            if found:
                self.run.bars.find(1)
            if record.training.without is not None:
                return  # its images tell of another training
            row = rows[record.training.name]
            eligible = may_be_exported(row, self.run.inputs.config.allow_full)
            metric = self.run.inputs.config.metric
            told = scored_training(record, row.label, eligible=eligible, found=found, metric=metric)
            self.run.bars.scored(told)

        return report


def _passes_twice(method: Method) -> bool:
    return TRAINABLE_SETS[METHODS[method].trains].backward_passes == 2
