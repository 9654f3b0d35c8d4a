"""The rows of ``results.json`` from the records of trainings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nas_peft.protocol.row_runs import RowRuns
from nas_peft.protocol.rows import Row
from nas_peft.run.results import AveragingResult, RowResult, RunResult, SeedResult
from nas_peft.run.task_inputs import TaskInputs
from nas_peft.settings.methods import METHODS
from nas_peft.training.image_scores import ImageScores
from nas_peft.training.metrics import evaluation_recalls, evaluation_score, mean_score
from nas_peft.training.training_record import TrainingRecord
from search_spaces import count_bytes, count_flops, count_params
from supernet import TRAINABLE_SETS, Curve, Evaluation, Recipe


def row_result(
    inputs: TaskInputs,
    probe: Recipe,
    runs: RowRuns,
    tests: Mapping[tuple[Row, int], Evaluation],
    *,
    selected: bool,
    averaging: AveragingResult | None = None,
) -> RowResult:
    """One row of ``results.json``.

    Args:
        inputs: inputs of the run.
        probe: recipe of linear probes.
        runs: trainings of the row.
        tests: evaluations of the final models on the test set, by row and seed.
        selected: whether the row is exported.
        averaging: the averaged trainings, if the row is an average.
    """
    row, shape, classes = runs.row, inputs.backbone.shape, len(inputs.dataset.classes)
    modules, trained = count_params(row.architecture, shape), trained_params(inputs, row)
    trains = TRAINABLE_SETS[METHODS[row.method].trains]
    params = trained + inputs.head_params
    failed = runs.error is not None
    return RowResult(
        name=row.name,
        label=row.label,
        group=row.group,
        method=row.method,
        architecture=row.architecture.to_dict(),
        description=(trains.label if trains.changes_backbone else row.architecture.describe())
        + (f", {_of_what(averaging)}" if averaging else ""),
        module_params=trained,
        head_params=inputs.head_params,
        params=params,
        bytes=count_bytes(row.architecture, shape, classes) + 4 * (trained - modules),
        flops=count_flops(row.architecture, shape, classes),
        recipe=(runs.recipe or row.recipe(inputs.config, probe)).to_dict(),
        selected=selected,
        averaging=averaging,
        seeds=[] if failed else [_seed(runs, i, tests, classes) for i in range(len(runs.chosen))],
        runs=[_run(record, runs, params, tests) for record in (*runs.tried, *runs.finals)],
        error=runs.error,
        dropped_after=runs.dropped_after,
    )


def _of_what(averaging: AveragingResult) -> str:
    if averaging.alpha is not None:
        return f"α = {averaging.alpha:g}"
    counts = [len(of) for of in averaging.ingredients.values()]
    return f"mean of {'/'.join(map(str, counts))} trainings" if counts else "mean of none"


def trained_params(inputs: TaskInputs, row: Row) -> int:
    """Number of parameters that the row's method trains, in modules and backbone; without the head."""
    return count_params(row.architecture, inputs.backbone.shape) + backbone_params(inputs, row)


def backbone_params(inputs: TaskInputs, row: Row) -> int:
    """Number of backbone parameters that the row's method trains."""
    return TRAINABLE_SETS[METHODS[row.method].trains].backbone_params(inputs.backbone.model)


def _seed(
    runs: RowRuns, number: int, tests: Mapping[tuple[Row, int], Evaluation], classes: int
) -> SeedResult:
    record = runs.chosen[number]
    test, val = tests.get((runs.row, record.seed)), record.val_score()
    curves = [curve_of(r) for r in (record, *runs.finals[number : number + 1])]
    return SeedResult(
        seed=record.seed,
        lr=record.lr,
        val_accuracy=val.accuracy,
        val_loss=val.loss,
        test_accuracy=test.accuracy if test else None,
        test_loss=test.loss if test else None,
        **of_classes(record.images, test, classes),
        val_shifted_accuracy=record.images.shifted_accuracy if record.images else None,
        val_shifted_loss=record.images.shifted_loss if record.images else None,
        image_passes=sum(curve.image_passes for curve in curves),
        seconds=sum(curve.seconds for curve in curves),
        losses=curves[-1].losses,
    )


def of_classes(val: ImageScores | None, test: Evaluation | None, classes: int) -> dict[str, Any]:
    """The measures of `SeedResult` that count classes alike, and the recall of each class."""
    found: dict[str, Any] = {}
    if val is not None:
        found["val_balanced_accuracy"] = mean_score("balanced-accuracy", [val])
        found["val_macro_f1"] = mean_score("macro-f1", [val])
    if test is not None:
        found["test_balanced_accuracy"] = evaluation_score("balanced-accuracy", test)
        found["test_macro_f1"] = evaluation_score("macro-f1", test)
        found["test_recalls"] = evaluation_recalls(test, classes)
    return found


def _run(
    record: TrainingRecord, runs: RowRuns, params: int, tests: Mapping[tuple[Row, int], Evaluation]
) -> RunResult:
    final = record.training.on == "train_val"
    val, curve = record.val, curve_of(record)
    test = tests.get((runs.row, record.seed)) if final else None
    return RunResult(
        on=record.training.on,
        seed=record.seed,
        lr=record.lr,
        recipe=record.training.recipe.to_dict(),
        chosen=final or any(record is used for used in runs.chosen),
        params=params,
        val_accuracy=val.accuracy if val else None,
        val_loss=val.loss if val else None,
        test_accuracy=test.accuracy if test else None,
        test_loss=test.loss if test else None,
        image_passes=curve.image_passes,
        seconds=curve.seconds,
        losses=curve.losses,
        stopped_at=record.stopped_at,
        error=record.error,
    )


def curve_of(record: TrainingRecord) -> Curve:
    """The curve of a training, empty if the training failed."""
    return record.curve or Curve()
