"""The stage that averages weights: soups and WiSE-FT of the best searched subnet and of full fine-tuning."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Literal, NamedTuple, TypeAlias

from torch import Tensor

from nas_peft.protocol.compared_trainings import Choice, ComparedTrainings
from nas_peft.protocol.decision import Contestant, decide
from nas_peft.protocol.row_runs import RowRuns
from nas_peft.protocol.rows import Params, Row, Scores, choose
from nas_peft.run.results import AveragingResult, IngredientResult
from nas_peft.run.stage_records import StageRecord
from nas_peft.run.training_inputs import TrainingInputs
from nas_peft.training.final_models import FinalModel, SoupModel, WiseFtModel
from nas_peft.training.image_scores import ImageScores
from nas_peft.training.metrics import mean_score
from nas_peft.training.soups import greedy_soup, uniform_soup
from nas_peft.training.temperature import fit_temperature
from nas_peft.training.training import Training
from nas_peft.training.training_record import TrainingRecord
from nas_peft.training.trainings import scores_of, trained_network
from nas_peft.training.val_score import ValScore
from nas_peft.training.wise_ft import ALPHAS, choose_alpha, interpolate, line_start
from supernet import Curve, Recipe

FACTORS = (1.0, 0.5, 2.0)
"""Factors on the row's learning rate, cycled over the ingredients."""

Way: TypeAlias = Literal["uniform-soup", "greedy-soup", "wise-ft", "mean"]
LABELS: dict[Way, str] = {
    "uniform-soup": "uniform soup",
    "greedy-soup": "greedy soup",
    "wise-ft": "WiSE-FT",
}
"""The ways that ``--soup`` compares."""


@dataclass(frozen=True)
class AveragedRow(Row):
    """Averaged weights of the trainings of another row, ``of``: a network of the same size.

    ``count`` is the number of trainings in a mean.
    """

    of: Row
    way: Way
    count: int = 0

    @property
    def label(self) -> str:
        """Name in the table."""
        return f"{self.of.label}, {LABELS.get(self.way, f'mean of {self.count}')}"


@dataclass(frozen=True)
class Ingredient:
    """A training on the training set, its record, and the same training on training and validation set."""

    training: Training
    final: Training
    record: TrainingRecord


@dataclass(frozen=True)
class Average:
    """An average of weights, with the members that validation chose for each seed.

    ``runs`` holds the row, its validation scores and the cost of its trainings; for a soup these are all
    trainings it was chosen from, so that both soups of a row share them. ``members`` are the final models to
    average, by seed. ``alpha`` is the point on the line of WiSE-FT, ``None`` for soups.
    """

    row: AveragedRow
    runs: RowRuns
    members: Mapping[int, Sequence[Training]]
    alpha: float | None

    def result(self) -> AveragingResult:
        """The chosen members, α and the temperatures, for ``results.json``."""
        ingredients = {
            seed: [IngredientResult(order_seed=t.seed, lr=t.recipe.lr) for t in members]
            for seed, members in self.members.items()
        }
        temperatures = {
            record.seed: fit_temperature(record.images.logits, record.images.labels)
            for record in self.runs.chosen
            if record.images is not None
        }
        losses = [r.images.calibrated_losses.mean() for r in self.runs.chosen if r.images is not None]
        return AveragingResult(
            of=self.row.of.name,
            way=self.row.way,
            alpha=self.alpha,
            ingredients=ingredients,
            temperatures=temperatures,
            calibrated_loss=fmean(losses) if losses else None,
            begins=None if self.alpha is None else "pretrained",
        )


@dataclass(frozen=True)
class Averaging:
    """Trains several ingredients of a row from one initialisation for each seed, and averages their weights.

    Ingredients differ in the order of the images (in a run of S seeds: seed, seed + S, seed + 2·S, ...) and
    in the learning rate (the row's, half of it, twice it, and so on). The first is the row's own training.
    Validation chooses the members among trainings on the training set; the final model averages the same
    trainings on training and validation set.
    """

    trainings: ComparedTrainings
    shared: TrainingInputs
    device: str

    def run(self, rows: Sequence[RowRuns]) -> list[Average]:
        """Uniform soup, greedy soup and WiSE-FT of each row; none unless the configuration asks for soups.

        WiSE-FT uses the first ingredient. Failed ingredients are left out. An average that cannot be made,
        because all its ingredients or one of its final models failed, has an ``error`` in its ``runs``.
        """
        if not self.trainings.run.inputs.config.soup or not rows:
            return []
        count = self.trainings.run.inputs.config.soup
        train = {found.row: self.plan(found, "train", count, FACTORS) for found in rows}
        final = {found.row: self.plan(found, "train_val", count, FACTORS) for found in rows}
        records = self.records(train, {found.row: found.chosen for found in rows}, "soups")
        started = time.perf_counter()
        averages, usable = [], 0
        for row in train:
            ingredients = [
                Ingredient(training, of_both, records[training.key])
                for training, of_both in zip(train[row], final[row], strict=True)
            ]
            usable += sum(i.record.failure is None for i in ingredients)
            averages += self._averages(row, ingredients)
        scored = usable + (1 + len(ALPHAS)) * len(rows) * len(self.trainings.seeds)
        cost = StageRecord(
            seconds=time.perf_counter() - started, image_passes_forward=scored * len(self.shared.val)
        )
        self.trainings.run.costs.add("averaging", cost)
        members = {row: _members([a for a in averages if a.row.of is row]) for row in train}
        finals = self.records(members, {found.row: found.finals for found in rows}, "final soups")
        for average in averages:
            if average.runs.error is None:
                average.runs.set_finals(
                    [
                        averaged_record(of[0], seed, None, [finals[t.key] for t in of])
                        for seed, of in average.members.items()
                    ]
                )
        return averages

    def models(self, average: Average) -> dict[tuple[Row, int], FinalModel]:
        """Final models of ``average``, by row and seed; empty if the average cannot be made."""
        runner, inputs = self.trainings.runner, self.shared
        if average.runs.error is not None:
            return {}
        if average.alpha is None:
            return {
                (average.row, s): SoupModel(tuple(of), runner, inputs) for s, of in average.members.items()
            }
        return {
            (average.row, s): WiseFtModel(of[0], average.alpha, runner, inputs, self._head())
            for s, of in average.members.items()
        }

    def _head(self) -> Recipe | None:
        """The recipe of a head that is trained alone on the pretrained features."""
        return self.trainings.run.inputs.config.head_recipe()

    def plan(
        self, found: RowRuns, on: Literal["train", "train_val"], count: int, factors: Sequence[float]
    ) -> list[Training]:
        """The ``count`` ingredients of each seed, one seed after the other; the first is the row's own.

        ``factors`` on the row's learning rate are cycled over the ingredients.
        """
        given, recipe = self.trainings, found.recipe
        assert recipe is not None  # only trained rows are averaged
        planned = []
        for seed in given.seeds:
            for number in range(count):
                # rounded like the rates of the grid of learning rates
                rate = float(f"{recipe.lr * factors[number % len(factors)]:.6g}") if number else recipe.lr
                order = seed + number * len(given.seeds)
                (training,) = found.row.trainings(
                    given.run.inputs.config, given.probe, [order], on, replace(recipe, lr=rate)
                )
                planned.append(replace(training, init_seed=seed if number else None))
        return planned

    def records(
        self,
        trainings: Mapping[Row, Sequence[Training]],
        own: Mapping[Row, Sequence[TrainingRecord]],
        stage: str,
    ) -> dict[str, TrainingRecord]:
        """The record of each training by its key; the row's own records, ``own``, already exist."""
        others = {row: [t for t in of if t.init_seed is not None] for row, of in trainings.items()}
        trained = self.trainings.train(others, stage)
        found = {
            t.key: record for row, of in others.items() for t, record in zip(of, trained[row], strict=True)
        }
        for row, of in trainings.items():
            by_seed = {record.seed: record for record in own[row]}
            found |= {t.key: by_seed[t.seed] for t in of if t.init_seed is None}
        return found

    def _averages(self, row: Row, ingredients: Sequence[Ingredient]) -> list[Average]:
        """The averages that validation chooses from the ingredients of a row."""
        by_seed: dict[int, list[Ingredient]] = {seed: [] for seed in self.trainings.seeds}
        for ingredient in ingredients:
            if ingredient.record.failure is None:
                by_seed[ingredient.training.start_seed].append(ingredient)
        if not all(by_seed.values()):
            reason = next(i.record.failure for i in ingredients if i.record.failure is not None)
            return [_impossible(row, way, reason) for way in LABELS]
        uniform, greedy, lines = {}, {}, {}
        for seed, usable in by_seed.items():
            tensors = [self.trainings.runner.tensors(i.training) for i in usable]
            own = usable[0].record
            scores = [self._rank(i.record.val_score(), _judged_as(own, i.record.images)) for i in usable]

            def measure(weights: Mapping[str, Tensor], own: TrainingRecord = own) -> Scored:
                return self.score(own, weights)

            uniform[seed] = (measure(uniform_soup(tensors)), usable)
            best = greedy_soup(tensors, scores, lambda weights: self._rank(*measure(weights)))
            soup = measure(uniform_soup([tensors[member] for member in best.members]))
            greedy[seed] = (soup, [usable[member] for member in best.members])
            start = line_start(own.training, tensors[0], self.shared, self._head())
            lines[seed] = {alpha: measure(interpolate(start, tensors[0], alpha)) for alpha in ALPHAS}
        alpha = self._alpha({a: [line[a] for line in lines.values()] for a in ALPHAS})
        on_line = {seed: (line[alpha], by_seed[seed][:1]) for seed, line in lines.items()}
        first_alone = {seed: usable[:1] for seed, usable in by_seed.items()}
        return [
            _average(row, "uniform-soup", uniform, by_seed, None),
            _average(row, "greedy-soup", greedy, by_seed, None),
            _average(row, "wise-ft", on_line, first_alone, alpha),
        ]

    def _rank(self, val: ValScore, images: ImageScores | None) -> ValScore:
        """The score that averages are chosen by: the metric of the run in place of accuracy.

        With a choice for shifted images that is the negative loss on them.
        """
        metric = self.trainings.run.inputs.config.metric
        if self.shared.shifted is not None and images is not None and images.shifted_loss is not None:
            return val._replace(accuracy=-images.shifted_loss)
        if metric == "accuracy":
            return val
        if images is None:
            raise ValueError(f"the metric '{metric}' needs the scores of images")
        return val._replace(accuracy=mean_score(metric, [images]))

    def _alpha(self, line: Mapping[float, Sequence[Scored]]) -> float:
        """The point on the line of WiSE-FT, whose points have a score for each seed.

        By the run's metric, as published; with a choice for shifted images by its rule, so that a step back
        towards the pretrained function may cost only so much on unchanged images.
        """
        if self.shared.shifted is None:
            return choose_alpha({a: _mean([self._rank(*of) for of in scores]) for a, scores in line.items()})
        points = [
            Contestant.of(
                str(alpha),
                0,
                [of.val.accuracy for of in scores],
                [of.val.loss for of in scores],
                [of.images for of in scores],
            )
            for alpha, scores in line.items()
        ]
        return float(decide(points).name)

    def score(self, own: TrainingRecord, weights: Mapping[str, Tensor]) -> Scored:
        """The scores of averaged weights of the row whose own training has left the record ``own``."""
        network = trained_network(own.training, dict(weights), self.shared, self.device)
        val, images = scores_of(network, own.training, self.shared)
        return Scored(val, _judged_as(own, images) or images)


def _judged_as(own: TrainingRecord, images: ImageScores | None) -> ImageScores | None:
    """Scores with those of the row's ``own`` training on left-out domains: no average is made without one."""
    if images is None or own.images is None or images is own.images:
        return images
    return images.with_left_out_of(own.images)


class Scored(NamedTuple):
    """Score of averaged weights on the validation set, as a whole and of each image."""

    val: ValScore
    images: ImageScores


def choose_again(
    choice: Choice,
    runs: Sequence[RowRuns],
    averages: Sequence[Average],
    params: Params,
    allow_full: bool = False,
) -> Choice:
    """The choice when averages of searched subnets may be exported too; the plain network wins a tie."""
    found = choose(usable_scores(runs, averages), params, allow_full)
    return choice if found is None else replace(choice, exported=found[0], decision=found[1])


def usable_scores(runs: Sequence[RowRuns], averages: Sequence[Average]) -> dict[Row, Scores]:
    """The scores of all rows that compete, averages after them."""
    found = [*runs, *(average.runs for average in averages)]
    return {of.row: of.scores for of in found if of.competes}


def averaged_row(row: Row, way: Way, count: int = 0) -> AveragedRow:
    """The row of an average of the trainings of ``row``."""
    return AveragedRow(f"{row.name}-{way}", row.group, row.method, row.architecture, row, way, count)


def _average(
    row: Row,
    way: Way,
    chosen: Mapping[int, tuple[Scored, Sequence[Ingredient]]],
    tried: Mapping[int, Sequence[Ingredient]],
    alpha: float | None,
) -> Average:
    averaged = averaged_row(row, way)
    records = [
        averaged_record(tried[seed][0].training, seed, score, [i.record for i in tried[seed]])
        for seed, (score, _) in chosen.items()
    ]
    members = {seed: [i.final for i in of] for seed, (_, of) in chosen.items()}
    return Average(averaged, RowRuns(averaged, tried=records, chosen=list(records)), members, alpha)


def _impossible(row: Row, way: Way, reason: str) -> Average:
    averaged = averaged_row(row, way)
    return Average(averaged, RowRuns(averaged, error=f"no ingredient: {reason}"), {}, None)


def averaged_record(
    first: Training, seed: int, score: Scored | None, ingredients: Sequence[TrainingRecord]
) -> TrainingRecord:
    """The record of an average in the form of one training: summed costs, and no losses by epoch."""
    curves = [record.curve for record in ingredients if record.curve]
    return TrainingRecord(
        replace(first, seed=seed),
        Curve([], sum(c.image_passes for c in curves), sum(c.seconds for c in curves)),
        score.val if score else None,
        error=next((record.failure for record in ingredients if record.failure is not None), None),
        images=score.images if score else None,
    )


def _members(averages: Sequence[Average]) -> list[Training]:
    """The member trainings of all averages, each once, in the order of first use."""
    found: dict[Training, None] = {}
    for average in averages:
        for members in average.members.values():
            found |= dict.fromkeys(members)
    return list(found)


def _mean(scores: Sequence[ValScore]) -> ValScore:
    return ValScore(fmean(s.accuracy for s in scores), fmean(s.loss for s in scores))
