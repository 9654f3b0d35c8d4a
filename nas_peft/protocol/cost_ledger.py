"""The cost of each stage of a run, also as a number of retrainings of one subnet."""

from __future__ import annotations

from dataclasses import dataclass

from rich.table import Table

from nas_peft.run.plain_table import GAP, add_number, plain_table
from nas_peft.run.results import SearchResult
from nas_peft.settings.durations import in_words
from nas_peft.settings.lists import items

BACKWARD = 1
"""The cost of a subnet's backward pass in forward passes, because the trunk is frozen.

Gradients of activations take the same number of operations as the activations, and gradients of frozen
weights are not computed: 0.85 to 1.1 times the operations of the forward pass by torch's counter, 1.0 to 1.3
times its seconds on a CPU, for LoRA or adapters in all or some layers of ViTs of two sizes.
"""
BACKWARD_FULL = 2
"""The same for full fine-tuning, which computes both gradients (1.98 times the operations)."""


@dataclass(frozen=True)
class StageCost:
    """Images through the backbone, forward and backward, seconds, and peak memory in bytes, of one stage.

    ``full`` counts the backward passes that also train the backbone.
    """

    name: str
    forward: float
    backward: float
    full: float = 0.0
    seconds: float = 0.0
    peak_memory: int | None = None

    @property
    def passes(self) -> float:
        """Number of passes, forward and backward."""
        return self.forward + self.backward

    @property
    def work(self) -> float:
        """Cost in forward passes, with backward passes at their cost."""
        return self.forward + BACKWARD * (self.backward - self.full) + BACKWARD_FULL * self.full


def stage_costs(result: SearchResult) -> list[StageCost]:
    """Cost of each stage, in order; trainings run forward and backward passes, scoring only forward."""
    return [
        StageCost(
            name,
            stage.image_passes + stage.image_passes_forward,
            stage.image_passes,
            stage.image_passes_full,
            stage.seconds,
            stage.peak_memory,
        )
        for name, stage in result.stages.items()
    ]


def one_retraining(result: SearchResult) -> StageCost:
    """Cost of training one subnet on the training set by the run's recipe (the first of several epochs)."""
    epochs = items(result.config["epochs"])[0]  # a number in results of version 0.1
    passes = epochs * result.dataset["counts"]["train"]
    return StageCost("one retraining", passes, passes)


def cost_tables(result: SearchResult, width: int) -> list[Table]:
    """Tables of passes, seconds and peak memory by stage; passes and work also in retrainings.

    There are as many tables as it takes to stay within ``width`` characters: no number is cut.
    """
    memory = result.environment.get("peak memory", "not measured")
    columns = _cost_columns(result)
    stages = [cost.name for cost in stage_costs(result)]
    stage = max(map(len, stages))
    parts: list[list[str]] = [[]]
    taken = stage
    for header, cells in columns.items():
        needed = GAP + max(map(len, (*header.splitlines(), *cells)))
        if parts[-1] and taken + needed > width:
            parts.append([])
            taken = stage
        parts[-1].append(header)
        taken += needed
    tables = []
    for number, headers in enumerate(parts):
        table = plain_table(
            "cost" if number == 0 else "cost, continued",
            "forward, backward: images through the backbone; retrainings: passes as a multiple of one "
            "retraining on the training set, forward and backward alike; by work: the same with a backward "
            f"pass counted as {BACKWARD} forward pass, or {BACKWARD_FULL} in full fine-tuning; several "
            "trainings run at once, so seconds are not proportional to work; peak MB: of the largest process "
            f"({memory})"
            if number == len(parts) - 1
            else "",
        )
        table.add_column("stage", overflow="fold")
        for header in headers:
            add_number(table, header)
        for row, name in enumerate(stages):
            table.add_row(name, *(columns[header][row] for header in headers))
        tables.append(table)
    return tables


def _cost_columns(result: SearchResult) -> dict[str, list[str]]:
    """The cells of each column of numbers by its header, a cell for each stage."""
    costs, reference = stage_costs(result), one_retraining(result)
    columns = {
        "forward": [f"{cost.forward:,.0f}" for cost in costs],
        "backward": [f"{cost.backward:,.0f}" for cost in costs],
        "seconds": [f"{cost.seconds:,.0f}" for cost in costs],
    }
    if result.plan is not None:
        planned = result.plan.of(_planned_stages(result))
        columns["planned\nseconds"] = [f"{planned[c.name]:,.0f}" if c.name in planned else "-" for c in costs]
    peaks = [cost.peak_memory for cost in costs]
    return columns | {
        "peak\nMB": ["-" if peak is None else f"{peak / 1e6:,.0f}" for peak in peaks],
        "re-\ntrain-\nings": [f"{cost.passes / reference.passes:.1f}" for cost in costs],
        "by\nwork": [f"{cost.work / reference.work:.1f}" for cost in costs],
    }


def _planned_stages(result: SearchResult) -> list[str]:
    """The rounds of recipes of a run, which say which of the planned lengths it had."""
    return [name for name in result.stages if name.startswith("recipes")]


def plan_against_fact(result: SearchResult) -> str:
    """A sentence with the planned and the actual time of a run; empty without a plan."""
    if result.plan is None:
        return ""
    return (
        f"time: {in_words(seconds_taken(result))}, planned {in_words(planned_seconds(result))} for --time "
        f"{result.plan.time} "
        f"(level {result.plan.level} of {result.plan.levels})"
    )


def planned_seconds(result: SearchResult) -> float:
    """Seconds that the plan expected for as many rounds of recipes as the run had."""
    assert result.plan is not None  # asked for runs with a time
    return result.plan.before + sum(result.plan.of(_planned_stages(result)).values())


def seconds_taken(result: SearchResult) -> float:
    """Seconds of all stages, and with a plan of what came before it."""
    before = 0.0 if result.plan is None else result.plan.before
    return before + sum(stage.seconds for stage in result.stages.values())
