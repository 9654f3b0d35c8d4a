"""The last step of a run: the exported network is the mean of several trainings in other orders."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

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

BEHIND = 1.0
"""Standard errors that the mean may be behind single trainings, before it is refused."""


@dataclass(frozen=True)
class MeanOfOrders:
    """Averages the weights of several trainings of the row that is exported.

    The trainings differ in the order of the images alone, and start from one initialisation. Their mean is
    more accurate than one of them as a rule (docs/log/averaged_orders.md), unless the learning rate is so
    high that they end in different valleys. Validation images tell that case: the mean is refused where it is
    behind. It is compared with the further trainings, not with the row's own: that one was chosen as the best
    of several by the same images, which flatters it.
    """

    averaging: Averaging

    def of_exported(self, choice: Choice, runs: Sequence[RowRuns]) -> Average | None:
        """The mean for the row of a choice; ``None`` where none is made, or it is refused.

        None is made of averages, of full fine-tuning, and of a row with so few errors that no network could
        be better by more than the noise. The final models of a refused mean are not trained.
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
            run.bars.say(
                f"The mean of {count} trainings of {found.row.label} is refused: on validation images it is "
                "behind single ones"
            )
            return None
        return self._average(found, scores, by_seed)

    def _score(self, records: Sequence[TrainingRecord]) -> Scored:
        runner = self.averaging.trainings.runner
        # the row's own training is done, and repeated only where its weights have been removed since
        runner.run([replace(records[0].training, keep=True)], lambda: None)
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
