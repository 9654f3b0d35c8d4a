"""The end of a run: the exported subnet and ``results.json``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from nas_peft.machine.environment import environment
from nas_peft.protocol.reading import Reading
from nas_peft.run.export import export_subnet
from nas_peft.run.json_file import write_json
from nas_peft.run.results import DecisionResult, PairedComparison, RowResult, SearchResult
from nas_peft.run.run import Run
from nas_peft.run.task_inputs import TaskInputs
from nas_peft.training.final_models import FinalModel
from nas_peft.training.image_scores import ImageScores
from nas_peft.training.temperature import fit_temperature


def write_result(
    run: Run[TaskInputs],
    *,
    protocol: str,
    rows: Sequence[RowResult],
    paired: PairedComparison | None,
    decision: DecisionResult | None,
    reading: Reading,
    exported: FinalModel,
    scores: ImageScores | None,
) -> SearchResult:
    """Write the checkpoint of the exported model, then ``results.json``, which marks the run as finished.

    ``exported`` is the model of the selected row and the run's first seed; ``protocol`` says in words on
    which data models were trained and chosen. ``scores`` are those of the selected row on the validation
    images, to which the exported temperature is fitted: the final model itself was trained on these.
    """
    inputs, seed = run.inputs, run.inputs.config.seed
    selected = next(row for row in rows if row.selected)
    of_seed = next(s for s in selected.seeds if s.seed == seed)
    file = export_subnet(
        exported.network("cpu"),
        inputs,
        run.folder.subnet,
        metrics={
            "val_accuracy": of_seed.val_accuracy,
            "test_accuracy": of_seed.test_accuracy,
            **of_seed.by_metric(inputs.config.metric),
            "protocol": protocol,
        },
        training=exported.to_dict(),
        temperature=None if scores is None else fit_temperature(scores.logits, scores.labels),
    )
    result = SearchResult(
        run=str(run.folder.path),
        protocol=protocol,
        config=inputs.config.to_dict(),
        dataset=inputs.dataset.record,
        backbone=inputs.backbone_record(),
        budget=asdict(inputs.budget),
        rows=list(rows),
        paired=paired,
        decision=decision,
        stages=run.costs.to_dict(),
        plan=run.plan,
        test_opened=reading.opened,
        subnet=file | {"seed": seed},
        environment=environment(run.device),
    )
    write_json(run.folder.results, result.model_dump(mode="json"))
    return result
