"""Notes of the dashboard in Markdown: the decision of a run, and what became of each retrained candidate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from nas_peft.protocol.decision_summary import decision_summary
from nas_peft.report.number_texts import NONE, score_of_seeds
from nas_peft.report.reported_run import architecture_of
from nas_peft.run.results import RowResult, SearchResult
from nas_peft.settings.metric import LABELS, Metric
from search_spaces.strips import strips

_WIDTH = 100
"""Characters of a line of the decision."""


def retrained(result: SearchResult) -> dict[int, RowResult]:
    """The rows of searched subnets by the number of their candidate; with ``no_retrain`` the exported one."""
    return {
        int(row.name.removeprefix("candidate-")): row
        for row in result.rows
        if row.group == "searched" and row.name.removeprefix("candidate-").isdigit()
    }


def study_note(result: SearchResult, pictures: Mapping[str, str]) -> str:
    """The decision of the run as it ended, and its ``pictures`` (addresses by title)."""
    numbers = ", ".join(str(number) for number in retrained(result)) or "none"
    return "\n".join(
        [
            "## Decision",
            "",
            "```text",
            decision_summary(result, _WIDTH),
            "```",
            "",
            "A trial is a candidate, scored with weights inherited from the supernet. Pruned trials were "
            f"eliminated early. Trials of the table, which have a note: {numbers}.",
            *_shown(pictures),
        ]
    )


def trial_note(row: RowResult, pictures: Mapping[str, str], metric: Metric = "accuracy") -> str:
    """What retraining gave for a candidate, the modules of its layers, and its ``pictures``.

    Where another ``metric`` than accuracy decides, its scores are there, too.
    """
    exported = "exported" if row.selected else "not exported"
    how = "Retrained" if row.runs else "With weights inherited from the supernet"
    lines = [
        "## Separate training" if row.runs else "## No separate training",
        "",
        f"**{how}, {exported}.**",
        "",
    ]
    if row.error is not None:
        lines += [f"The training failed: {row.error}", ""]
    if row.dropped_after is not None:
        lines += [f"Dropped after round {row.dropped_after} of recipes.", ""]
    lines += ["| | |", "|---|---|", f"| module parameters | {row.module_params:,} |"]
    if row.seeds:
        lines += [
            f"| validation accuracy | {100 * row.mean('val_accuracy'):.1f}% |",
            f"| validation loss | {row.mean('val_loss'):.3f} |",
        ]
    if row.tested:
        lines.append(f"| test accuracy | {100 * row.mean('test_accuracy'):.1f}% |")
    if metric != "accuracy":
        percent = "" if metric == "log-loss" else "%"
        parts: tuple[tuple[Literal["val", "test"], str], ...] = (("val", "validation"), ("test", "test"))
        for part, name in parts:
            if (score := score_of_seeds(row, part, metric)) != NONE:
                lines.append(f"| {name} {LABELS[metric]} | {score}{percent} |")
    lines += [f"| {name.replace('_', ' ')} | {value} |" for name, value in row.recipe.items()]
    architecture = architecture_of(row)
    drawn = {} if architecture is None else strips(architecture)
    if drawn:
        wide = max(map(len, drawn))
        lines += ["", "Layers from the input to the output:", "", "```text"]
        lines += [*(f"{label:<{wide}}  {strip}" for label, strip in drawn.items()), "```"]
    return "\n".join([*lines, *_shown(pictures)])


def _shown(pictures: Mapping[str, str]) -> list[str]:
    return [line for title, address in pictures.items() for line in ("", f"![{title}]({address})")]
