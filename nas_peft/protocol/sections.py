"""The sections of a run's result, each as what is printed and as values for programs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from rich.table import Table

from nas_peft.data.summary import data_summary
from nas_peft.protocol.cost_ledger import cost_tables, plan_against_fact, stage_costs
from nas_peft.protocol.decision_summary import decision_summary
from nas_peft.protocol.results_table import (
    certainty_table,
    recipes_table,
    remarks,
    results_table,
    row_modules_tables,
)
from nas_peft.run.results import SearchResult
from search_spaces import unknown_name

Printed: TypeAlias = "Table | str"


@dataclass(frozen=True)
class Section:
    """A part of a result: ``printed`` takes the width in characters, ``values`` are JSON-able."""

    printed: Callable[[SearchResult, int], Sequence[Printed]]
    values: Callable[[SearchResult], Any]


def chosen_sections(names: Sequence[str]) -> dict[str, Section]:
    """The sections with these names, all without names. Raises `InputError` for an unknown name."""
    for name in names:
        if name not in SECTIONS:
            raise unknown_name("section", name, SECTIONS, "Give one of these to --section.")
    return {name: SECTIONS[name] for name in names or SECTIONS}


def section_values(result: SearchResult, sections: Mapping[str, Section]) -> dict[str, Any]:
    """The values of ``sections`` by name, with the run folder."""
    return {"run": result.run, **{name: section.values(result) for name, section in sections.items()}}


def _decision(result: SearchResult) -> dict[str, Any]:
    return {
        "exported": result.selected.name,
        "label": result.selected.label,
        "file": f"{result.run}/{result.subnet['file']}",
        "subnet": result.subnet,
        "decision": result.decision.model_dump(mode="json") if result.decision else None,
        "paired": result.paired.model_dump(mode="json") if result.paired else None,
    }


def _rows(result: SearchResult) -> list[dict[str, Any]]:
    left_out = {"architecture", "recipe", "runs", "description"}
    return [row.model_dump(mode="json", exclude=left_out) for row in result.rows]


def _modules(result: SearchResult) -> list[dict[str, Any]]:
    return [
        {
            "name": row.name,
            "label": row.label,
            "description": row.description,
            "architecture": row.architecture,
        }
        for row in result.rows
    ]


def _recipes(result: SearchResult) -> list[dict[str, Any]]:
    fields = {"name", "label", "recipe", "runs"}
    return [row.model_dump(mode="json", include=fields) for row in result.rows]


def _costs(result: SearchResult) -> dict[str, Any]:
    stages = {
        cost.name: {
            "forward": cost.forward,
            "backward": cost.backward,
            "seconds": cost.seconds,
            "peak_memory": cost.peak_memory,
        }
        for cost in stage_costs(result)
    }
    return {"stages": stages, "plan": result.plan.model_dump(mode="json") if result.plan else None}


def _certainty(result: SearchResult) -> Sequence[Printed]:
    table = certainty_table(result)
    return [*([table] if table else []), *([text] if (text := remarks(result)) else [])]


def _costs_printed(result: SearchResult, width: int) -> Sequence[Printed]:
    time = plan_against_fact(result)
    return [*cost_tables(result, width), *([time] if time else [])]


SECTIONS: dict[str, Section] = {
    "decision": Section(lambda result, width: [decision_summary(result, width)], _decision),
    "rows": Section(lambda result, _: [results_table(result)], _rows),
    "certainty": Section(
        lambda result, _: _certainty(result),
        lambda result: [rival.model_dump() for rival in result.decision.rivals] if result.decision else [],
    ),
    "modules": Section(row_modules_tables, _modules),
    "recipes": Section(lambda result, _: [recipes_table(result)], _recipes),
    "costs": Section(_costs_printed, _costs),
    "data": Section(
        lambda result, _: [data_summary(result.dataset, tuple(result.inputs().classes))],
        lambda result: result.dataset | {"class_names": result.inputs().classes},
    ),
}
"""All sections, in the order in which they are printed."""
