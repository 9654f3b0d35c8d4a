"""The configuration of a run: every option, and who set it."""

from __future__ import annotations

from typing import Any

from nas_peft.report.data_table import DataTable, data_table
from nas_peft.report.reported_run import ReportedRun
from nas_peft.settings.baselines_config import BaselinesConfig
from nas_peft.settings.lists import with_lists
from nas_peft.settings.search_config import SearchConfig


def options_tables(run: ReportedRun) -> tuple[DataTable, DataTable]:
    """The options that differ from their defaults, with who set them, and the rest."""
    kind = SearchConfig if "searcher" in run.options else BaselinesConfig
    defaults = {name: f.get_default() for name, f in kind.model_fields.items() if not f.is_required()}
    default = kind.model_construct(**defaults).to_dict()
    given = with_lists(kind, run.options)
    planned = {} if run.result.plan is None else run.result.plan.set_options
    set_rows, rest = [], []
    for name in sorted({*given, *planned}):
        flag = f"--{name.replace('_', '-')}"
        if name in planned:
            set_rows.append((flag, _shown(planned[name]), "the plan"))
        elif name == "fixed":
            continue
        elif given[name] != default.get(name):
            by = "the command, or auto by the device" if name == "precision" else "the command"
            set_rows.append((flag, _shown(given[name]), by))
        else:
            rest.append((flag, _shown(given[name])))
    return (
        data_table("Options that were set", ("option", "value", "set by"), set_rows, texts=3),
        data_table("Options at their defaults", ("option", "value"), rest, texts=2),
    )


def environment_table(run: ReportedRun) -> DataTable:
    """Machine and versions, and where backbone and test set stand."""
    result = run.result
    rows = [
        ("backbone", f"{result.backbone['name']}, {result.backbone['params']:,} parameters"),
        ("SHA-256 of the backbone", str(result.backbone["digest"])),
        *((name, str(value)) for name, value in result.environment.items()),
        ("test set opened", result.test_opened.opened_at),
    ]
    return data_table("Environment", ("what", "value"), rows, texts=2)


def _shown(value: Any) -> str:
    """A value as the command line takes it."""
    if isinstance(value, list | tuple):
        return ",".join(map(str, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None or value == "" else str(value)
