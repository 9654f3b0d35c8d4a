"""The last step of a run: the exported network is the mean of several trainings in other orders."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from nas_peft.data import Part
from nas_peft.protocol.averaging_stage import Average, Averaging, Scored, averaged_record, averaged_row
from nas_peft.protocol.compared_trainings import Choice
from nas_peft.protocol.decision import standard_error
from nas_peft.protocol.halving import can_be_better
from nas_peft.protocol.row_runs import RowRuns
from nas_peft.run.stage_records import StageRecord
from nas_peft.settings.metric import Metric
from nas_peft.training.image_scores import ImageScores
from nas_peft.training.metrics import image_values
from nas_peft.training.soups import uniform_soup
from nas_peft.training.training_record import TrainingRecord
from nas_peft.training.trainings import scores_on, trained_network
from search_spaces.streams import stream

BEHIND = 1.0
"""Standard errors that the mean may be behind single trainings on validation images, before it is refused."""

APART = 0.02
"""The accuracy by which the mean of final models may be behind them on the images that they were trained on.

Below it Frankle et al. (arXiv 1912.05671) call two trainings linearly connected.
"""

JOINED_ON = 2000
"""Training images at most by which final models are told to be in one valley."""


@dataclass(frozen=True)
class MeanOfOrders:
    """Averages the weights of several trainings of the row that is exported.

    The trainings differ in the order of the images alone, and start from one initialisation. Their mean is
    more accurate than one of them as a rule (docs/log/averaged_orders.md), unless the learning rate is so
    high that they end in different valleys, with a barrier between them. Two tests tell that case, and refuse
    the mean. On validation images the mean must not be behind the further trainings; the row's own has no
    part in it, as it was chosen as the best of several by the same images, which flatters it. And the mean of
    the final models, for which no validation image is left, must not be behind them on the images that they
    were trained on.
    """

    averaging: Averaging

    def of_exported(self, choice: Choice, runs: Sequence[RowRuns]) -> Average | None:
        """The mean for the row of a choice; ``None`` where none is made, or it is refused.

        None is made of averages, of full fine-tuning, and of a row with so few errors that no network could
        be better by more than the noise. Where validation refuses it, no final models are trained for it.
        """
        run = self.averaging.trainings.run
        count = run.inputs.config.average
        found = next((found for found in runs if found.row is choice.exported), None)
        if count < 2 or found is None or found.row.method == "full":
            return None
        if not can_be_better(found.scores.contestant(found.row.name, 0)):
            return None
        plan = self.averaging.plan(found, "train", count, (1.0,))
        records = self.averaging.records({found.row: plan}, {found.row: found.chosen}, "mean of orders")
        started = time.perf_counter()
        by_seed: dict[int, list[TrainingRecord]] = {}
        for training in plan:
            if (record := records[training.key]).failure is None:
                by_seed.setdefault(training.start_seed, []).append(record)
        if any(len(of) < count for of in by_seed.values()) or len(by_seed) < len(found.chosen):
            run.bars.say(f"No mean of trainings is made of {found.row.label}: one of them has failed")
            return None
        scores = {seed: self._score(of) for seed, of in by_seed.items()}
        run.costs.add(
            "averaging",
            StageRecord(
                seconds=time.perf_counter() - started,
                image_passes_forward=len(scores) * len(run.inputs.dataset.val),
            ),
        )
        further = [record.images for of in by_seed.values() for record in of[1:] if record.images is not None]
        means = [scored.images for scored in scores.values()]
        if is_behind(means, further, found.metric):
            self._refuse(found, "on validation images the mean is behind single ones")
            return None
        average = self._average(found, scores, by_seed)
        if average.runs.error is not None:
            self._refuse(found, f"a further final model failed ({average.runs.error})")
            return None
        if self._are_apart(average):
            self._refuse(found, "the mean of the final models is behind them on their own training images")
            return None
        return average

    def forget(self, choice: Choice, runs: Sequence[RowRuns]) -> None:
        """Remove the weights of the further trainings on the training set, which nothing reads any more.

        Where soups are asked for, they may be ingredients of one, and stay.
        """
        config = self.averaging.trainings.run.inputs.config
        found = next((found for found in runs if found.row is choice.exported), None)
        if config.average and not config.soup and found is not None:
            plan = self.averaging.plan(found, "train", config.average, (1.0,))
            self.averaging.trainings.runner.forget(t for t in plan if t.init_seed is not None)

    def _refuse(self, found: RowRuns, why: str) -> None:
        count = self.averaging.trainings.run.inputs.config.average
        self.averaging.trainings.run.bars.say(
            f"A single training of {found.row.label} is exported, not the mean of {count}: {why}"
        )

    def _are_apart(self, average: Average) -> bool:
        """Whether there is a barrier between the final models of any seed."""
        started = time.perf_counter()
        shared, run = self.averaging.shared, self.averaging.trainings.run
        both = Part.join([shared.train, shared.val])
        order = stream(run.inputs.config.seed, "images of final means").permutation(len(both))
        part = both.take(torch.from_numpy(np.sort(order[:JOINED_ON])))
        apart = False
        for of in average.members.values():
            tensors = [self.averaging.trainings.runner.tensors(training) for training in of]
            *members, mean = [
                scores_on(part, trained_network(of[0], one, shared, self.averaging.device), of[0], shared)
                for one in (*tensors, uniform_soup(tensors))
            ]
            apart = apart or float(np.mean([of.hits.mean() for of in members]) - mean.hits.mean()) > APART
        passes = sum(len(of) + 1 for of in average.members.values()) * len(part)
        seconds = time.perf_counter() - started
        run.costs.add("final averaging", StageRecord(seconds=seconds, image_passes_forward=passes))
        return apart

    def _score(self, records: Sequence[TrainingRecord]) -> Scored:
        runner = self.averaging.trainings.runner
        # all are done, and one is repeated only where its weights have been removed since
        runner.run([replace(record.training, keep=True) for record in records], lambda: None)
        tensors = [runner.tensors(record.training) for record in records]
        return self.averaging.score(records[0], uniform_soup(tensors))

    def _average(
        self, found: RowRuns, scores: dict[int, Scored], by_seed: dict[int, list[TrainingRecord]]
    ) -> Average:
        count = self.averaging.trainings.run.inputs.config.average
        finals = self.averaging.plan(found, "train_val", count, (1.0,))
        done = self.averaging.records({found.row: finals}, {found.row: found.finals}, "final mean")
        row = averaged_row(found.row, "mean", count)
        tried = [averaged_record(of[0].training, seed, scores[seed], of) for seed, of in by_seed.items()]
        runs = RowRuns(row, tried=tried, chosen=list(tried), metric=found.metric)
        members = {seed: [t for t in finals if t.start_seed == seed] for seed in by_seed}
        runs.set_finals(
            [
                averaged_record(of[0], seed, None, [done[training.key] for training in of])
                for seed, of in members.items()
            ]
        )
        return Average(row, runs, members, None)


def is_behind(means: Sequence[ImageScores], single: Sequence[ImageScores], metric: Metric) -> bool:
    """Whether means of trainings are less accurate than single ones, by more than `BEHIND` standard errors.

    ``means`` are the scores of each seed's mean, ``single`` those of all single trainings.
    """
    mean, others = _values(means, metric), _values(single, metric)
    return float((others - mean).mean()) > BEHIND * standard_error(others, mean)


def _values(scores: Sequence[ImageScores], metric: Metric) -> NDArray[np.float64]:
    """The metric of each image, on average over several trainings."""
    return np.asarray(np.mean([image_values(metric, of) for of in scores], axis=0))
