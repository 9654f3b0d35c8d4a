"""The stage that trains all rows, chooses, opens the test set once, and exports."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from torch import Tensor

from nas_peft.protocol.averaging_stage import Average, Averaging, choose_again, usable_scores
from nas_peft.protocol.compared_trainings import Choice, ComparedTrainings
from nas_peft.protocol.confidence import decision_result
from nas_peft.protocol.mean_of_orders import MeanOfOrders
from nas_peft.protocol.paired_comparison import compare_pair
from nas_peft.protocol.reading import Reading, read_test_set
from nas_peft.protocol.row_results import row_result, trained_params
from nas_peft.protocol.row_runs import RowRuns
from nas_peft.protocol.rows import Row
from nas_peft.protocol.run_result import write_result
from nas_peft.run.inherited_starts import InheritedStarts
from nas_peft.run.results import RowResult, SearchResult
from nas_peft.run.run import Run
from nas_peft.run.task_inputs import TaskInputs
from nas_peft.training.final_models import FinalModel, TrainedModel
from nas_peft.training.ray_trainings import RayTrainings
from supernet import Recipe


def compare_rows(
    run: Run[TaskInputs],
    rows: Sequence[Row],
    *,
    probe: Recipe,
    features: Tensor,
    protocol: str,
    inherited: InheritedStarts | None = None,
) -> SearchResult:
    """Compare subnets, single methods and baselines by one protocol, and write ``results.json``.

    Trains the rows, chooses by validation, trains the final models, opens the test set, exports. ``probe`` is
    the recipe of linear probes; ``features (N, d)`` are the pretrained features of train, then val.
    ``inherited`` is what rows inherit from the supernet or from an earlier training, by the row's name.
    Raises `InputError` if no subnet could be trained.
    """
    config = run.inputs.config
    shared = run.inputs.for_trainings(features, inherited)
    with RayTrainings.of_run(run, shared, early_stopping=config.early_stopping, keep_modules=True) as runner:
        trainings = ComparedTrainings(run, runner, probe, tuple(shared.domains))
        runs = trainings.compare(rows)
        choice = trainings.finish(runs)
        models: dict[tuple[Row, int], FinalModel] = {
            (found.row, training.seed): TrainedModel(training, runner, shared)
            for found in runs
            if found.error is None and found.finals
            for training in trainings.final_models(found)
        }
        averaging = Averaging(trainings, shared, run.device)
        averages = averaging.run([found for found in runs if found.row.averaged and found.finals])
        for average in averages:
            models |= averaging.models(average)
        params = partial(trained_params, run.inputs)
        choice = choose_again(choice, runs, averages, params, config.allow_full)
        usable = usable_scores(runs, averages)
        last_step = MeanOfOrders(averaging)
        last = last_step.of_exported(choice, runs)
        if last is not None:
            averages.append(last)
            models |= averaging.models(last)
        exported = choice.exported if last is None else last.row
        reading = read_test_set(run, models, _decision(choice, exported, runs, averages, trainings.seeds))
        trainings.forget_others(runs)
        last_step.forget(choice, runs)
        pair = None
        if choice.searched is not None and choice.single is not None:
            pair = compare_pair(choice.searched, choice.single, trainings.seeds, reading.tests, config.metric)
        of_images = usable_scores(runs, averages)[exported].images
        return write_result(
            run,
            protocol=protocol,
            rows=_row_results(run.inputs, probe, runs, averages, exported, reading),
            paired=pair,
            decision=decision_result(choice, usable, params, config.seed, config.allow_full),
            reading=reading,
            exported=models[exported, config.seed],
            scores=of_images[0] if of_images else None,
        )


def _decision(
    choice: Choice,
    exported: Row,
    runs: Sequence[RowRuns],
    averages: Sequence[Average],
    seeds: Sequence[int],
) -> dict[str, Any]:
    """All choices of the run, to be frozen before the test set is opened."""
    return {
        "exported": exported.name,
        "paired": [row.name if row else None for row in (choice.searched, choice.single)],
        "recipes": {
            found.row.name: found.recipe.to_dict() for found in runs if found.finals and found.recipe
        },
        "averages": {
            a.row.name: a.result().model_dump(mode="json", exclude={"temperatures"}) for a in averages
        },
        "seeds": list(seeds),
    }


def _row_results(
    inputs: TaskInputs,
    probe: Recipe,
    runs: Sequence[RowRuns],
    averages: Sequence[Average],
    exported: Row,
    reading: Reading,
) -> list[RowResult]:
    """The rows of the table: each trained row, followed by its averages."""
    results = []
    for found in runs:
        selected = found.row is exported
        results.append(row_result(inputs, probe, found, reading.tests, selected=selected))
        results += [
            row_result(
                inputs,
                probe,
                average.runs,
                reading.tests,
                selected=average.row is exported,
                averaging=average.result(),
            )
            for average in averages
            if average.row.of is found.row
        ]
    return results
