"""The rows of ``results.json`` from the records of trainings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nas_peft.comparison import Row
from nas_peft.results import RowResult, SeedResult
from nas_peft.run_inputs import RunInputs
from search_spaces import count_bytes, count_flops, count_params
from supernet import Evaluation, Recipe


def row_result(
    inputs: RunInputs,
    probe: Recipe,
    row: Row,
    compared: Sequence[Mapping[str, Any]],
    final: Sequence[Mapping[str, Any]] | None,
    tests: Mapping[tuple[Row, int], Evaluation],
    *,
    selected: bool,
) -> RowResult:
    """One row of ``results.json``.

    Args:
        inputs: of the run.
        probe: the recipe of linear probes.
        row: what was compared.
        compared: the records of its trainings on the training part, one for each seed.
        final: those of its final models; ``None`` if there are none.
        tests: of the final models, by row and seed.
        selected: whether it is exported.
    """
    shape, classes = inputs.backbone.shape, len(inputs.dataset.classes)
    modules = count_params(row.architecture, shape)
    trained = inputs.backbone.params if row.method == "full" else modules
    size = count_bytes(row.architecture, shape, classes) + 4 * (trained - modules)
    seeds = []
    for i, record in enumerate(compared):
        test = tests.get((row, record["seed"]))
        curves = [record["curve"], *([final[i]["curve"]] if final else [])]
        seeds.append(
            SeedResult(
                seed=record["seed"],
                val_accuracy=record["val"]["accuracy"],
                val_loss=record["val"]["loss"],
                test_accuracy=test.accuracy if test else None,
                test_loss=test.loss if test else None,
                image_passes=sum(c["image_passes"] for c in curves),
                seconds=sum(c["seconds"] for c in curves),
                losses=curves[-1]["losses"],
            )
        )
    return RowResult(
        name=row.name,
        label=row.label,
        group=row.group,
        architecture=row.architecture.to_dict(),
        description="all weights" if row.method == "full" else row.architecture.describe(),
        module_params=trained,
        head_params=inputs.head_params,
        params=trained + inputs.head_params,
        bytes=size,
        flops=count_flops(row.architecture, shape, classes),
        recipe=row.recipe(inputs.config, probe).to_dict(),
        selected=selected,
        seeds=seeds,
    )
