"""The one place that opens the test set: after the decision is frozen, for all final models at once."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nas_peft.machine.peak_memory import PeakMemory
from nas_peft.protocol.rows import Row
from nas_peft.run.run import Run
from nas_peft.run.stage_records import OpeningRecord, StageRecord
from nas_peft.run.task_inputs import TaskInputs
from nas_peft.training.final_models import FinalModel
from supernet import Evaluation, evaluate


@dataclass(frozen=True)
class Reading:
    """The record of the test set's opening, and the evaluations by row and seed."""

    opened: OpeningRecord
    tests: Mapping[tuple[Row, int], Evaluation]


def read_test_set(
    run: Run[TaskInputs], models: Mapping[tuple[Row, int], FinalModel], decision: Mapping[str, Any]
) -> Reading:
    """Freeze the decision, open the test set, and evaluate the final models on it.

    ``decision`` holds all choices, JSON-able; the configuration and the tested architectures are added. The
    costs are added to the run's. Raises ``RuntimeError`` if the run has already opened its test set for
    another decision.
    """
    frozen = {
        "config": run.inputs.config.to_dict(),
        "tested": {row.name: row.architecture.to_dict() for row, _ in models},
        **decision,
    }
    started, memory = time.perf_counter(), PeakMemory(run.device)
    opened = run.folder.freeze(frozen)
    test = run.inputs.dataset.test.open(json.dumps(frozen))
    tests: dict[tuple[Row, int], Evaluation] = {}
    with run.bars.counted("test (models)", len(models)) as bar:
        for key, model in models.items():
            tests[key] = evaluate(
                model.network(run.device),
                test.images,
                test.labels,
                preprocessing=run.inputs.preprocessing,
                precision=run.inputs.config.chosen_precision,
            )
            bar()
    cost = StageRecord(
        seconds=time.perf_counter() - started,
        image_passes_forward=len(models) * len(test),
        peak_memory=memory.bytes,
    )
    run.costs.add("test", cost)
    return Reading(opened, tests)
