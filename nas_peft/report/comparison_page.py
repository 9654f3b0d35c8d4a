"""One page with several runs side by side: decisions, settings that differ, methods, and a plot."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from string import ascii_uppercase
from typing import Any, Literal

from nas_peft.protocol.cost_ledger import seconds_taken
from nas_peft.protocol.metric_words import label, signed, unit
from nas_peft.report.chart import Chart, chart, drawing, legend_below
from nas_peft.report.data_table import DataTable, data_table
from nas_peft.report.decision_section import VERDICTS
from nas_peft.report.number_texts import (
    NONE,
    bounds_of_test,
    interval_of_test,
    of_seeds,
    percent,
    score_of_seeds,
    size_of_file,
)
from nas_peft.report.palette import GROUPS, light
from nas_peft.report.rendering import rendered
from nas_peft.report.reported_run import ReportedRun
from nas_peft.report.rows_table import GROUPS as NAMES
from nas_peft.run.results import Role
from nas_peft.settings.durations import in_words
from nas_peft.settings.metric import SHORT
from search_spaces import InputError

MOST = 12
"""Runs that one page sets side by side."""


def comparison_page(runs: Sequence[ReportedRun]) -> str:
    """The page that sets ``runs`` side by side; each has a letter, in the order given.

    Raises `InputError` for more than `MOST` runs.
    """
    if len(runs) > MOST:
        raise InputError(
            f"{len(runs)} runs are more than the {MOST} that one page sets side by side; give fewer, or use "
            "nas-peft compare"
        )
    letters = list(ascii_uppercase[: len(runs)])
    return rendered(
        "comparison.html.j2",
        runs=[(letter, str(run.path)) for letter, run in zip(letters, runs, strict=True)],
        decisions=_facts("Decisions", runs, letters, DECISION_FACTS),
        settings=_settings(runs, letters),
        methods=_methods(runs, letters),
        plot=_plot(runs, letters),
        comparable=_comparable(runs),
    )


Fact = Callable[[ReportedRun], str]
PARTS: tuple[Literal["val"], Literal["test"]] = ("val", "test")


def _against(role: Role) -> Fact:
    def verdict(run: ReportedRun) -> str:
        decision = run.result.decision
        name = None if decision is None else decision.roles.get(role)
        rival = next((r for r in decision.rivals if r.row == name), None) if decision and name else None
        if decision is None or rival is None:
            return NONE
        difference = f"{signed(decision.metric, rival.difference)}{unit(decision.metric)}"
        return f"{VERDICTS[rival.verdict]} ({difference}, probability {rival.better:.2f})"

    return verdict


DECISION_FACTS: dict[str, Fact] = {
    "data set": lambda run: str(run.result.dataset["spec"]),
    "backbone": lambda run: str(run.result.backbone["name"]),
    "budget": lambda run: f"{run.result.budget['text']} = {run.result.budget['max_params']:,} parameters",
    "seed": lambda run: str(run.result.config["seed"]),
    "metric that decides": lambda run: label(run.metric),
    "exported": lambda run: run.labels[run.selected.name],
    "trained parameters": lambda run: f"{run.selected.params:,}",
    "file": lambda run: size_of_file(run.result.subnet["bytes"]),
    "validation, by the metric": lambda run: score_of_seeds(run.selected, "val", run.metric),
    "test, by the metric": lambda run: score_of_seeds(run.selected, "test", run.metric),
    "validation %": lambda run: of_seeds(run.selected, "val_accuracy"),
    "validation loss": lambda run: f"{run.selected.mean('val_loss'):.3f}",
    "test %": lambda run: of_seeds(run.selected, "test_accuracy") if run.selected.tested else NONE,
    "95% interval of test %": lambda run: interval_of_test(run.selected, run.result),
    "against full fine-tuning": _against("full"),
    "against the best single method": _against("single"),
    "against the best searched subnet": _against("searched"),
    "time": lambda run: in_words(seconds_taken(run.result)),
}


_OF_THE_METRIC = ("validation, by the metric", "test, by the metric")
"""Facts that say nothing new where accuracy decides in all runs."""


def _facts(
    caption: str, runs: Sequence[ReportedRun], letters: list[str], facts: dict[str, Fact]
) -> DataTable:
    accuracy = all(run.metric == "accuracy" for run in runs)
    shown = {name: fact for name, fact in facts.items() if not (accuracy and name in _OF_THE_METRIC)}
    rows = ((name, *(fact(run) for run in runs)) for name, fact in shown.items())
    return data_table(
        caption,
        ("fact", *letters),
        rows,
        texts=1 + len(runs),
        note="Verdicts are on each run's own validation images.",
    )


def _settings(runs: Sequence[ReportedRun], letters: list[str]) -> DataTable:
    """The options, backbones and inputs that are not the same in all runs."""
    found = [_setting(run) for run in runs]
    names = sorted({name for of_run in found for name in of_run})
    differing = [n for n in names if len({repr(of_run.get(n)) for of_run in found}) > 1]
    rows = ((name, *(_shown(of_run.get(name, NONE)) for of_run in found)) for name in differing)
    return data_table("Settings that differ", ("setting", *letters), rows, texts=1 + len(runs))


def _setting(run: ReportedRun) -> dict[str, Any]:
    given = {
        f"--{name.replace('_', '-')}": value for name, value in run.result.config.items() if name != "fixed"
    }
    result = run.result
    return given | {
        "--time": run.options.get("time"),
        "backbone weights": str(result.backbone["digest"])[:12],
        "images of train, val, test": [result.dataset["counts"][part] for part in ("train", "val", "test")],
        "device": result.environment.get("device", NONE),
        "nas-peft": run.inputs.nas_peft or "0.1 or earlier",
    }


def _shown(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or NONE
    return NONE if value is None or value == "" else str(value)


def _methods(runs: Sequence[ReportedRun], letters: list[str]) -> DataTable:
    """Validation and test score of each method in each run; of several rows with one label the best.

    Each run's scores are by its own metric.
    """
    groups = {row.label: NAMES[row.group] for run in runs for row in run.result.rows}
    rows = []
    for method, group in groups.items():
        cells = []
        for run in runs:
            of_label = [row for row in run.result.rows if row.label == method and row.seeds]
            row = max(of_label, key=lambda r: (r.selected, r.tested, r.mean("val_accuracy")), default=None)
            for part in PARTS:
                cells.append(NONE if row is None else score_of_seeds(row, part, run.metric))
        rows.append((method, group, *cells))
    columns = [
        f"{letter} {name} {SHORT[run.metric]}"
        for letter, run in zip(letters, runs, strict=True)
        for name in ("validation", "test")
    ]
    return data_table(
        "Methods by run",
        ("method", "group", *columns),
        rows,
        texts=2,
        note="Of several rows of one method the exported one, else a tested one, else the highest by "
        "validation.",
    )


def _plot(runs: Sequence[ReportedRun], letters: list[str]) -> Chart:
    """The test accuracies of each run, with the interval of the exported row."""
    with drawing(3.6) as (figure, axes):
        seen: set[str] = set()
        rows = []
        for place, run in enumerate(runs):
            tested = [row for row in run.result.rows if row.tested]
            for number, row in enumerate(sorted(tested, key=lambda r: not r.selected)):
                role = "chosen" if row.selected else GROUPS[row.group]
                name = "exported" if row.selected else NAMES[row.group]
                x, y = place + 0.09 * number - 0.15, 100 * row.mean("test_accuracy")
                label = None if name in seen else name
                seen.add(name)
                marker = {"chosen": "*", "searched": "o", "single": "D", "baseline": "s"}[role]
                size = 130 if row.selected else 32
                axes.scatter([x], [y], s=size, marker=marker, color=light(role), label=label, zorder=3)
                if row.selected:
                    low, high = (100 * end for end in bounds_of_test(row, run.result))
                    axes.plot([x, x], [min(low, y), max(high, y)], color=light(role), lw=1.2)
                rows.append(
                    (f"{letters[place]}: {run.labels[row.name]}", name, percent(row.mean("test_accuracy")))
                )
        axes.set_xticks(range(len(runs)), letters)
        axes.set_xlim(-0.5, len(runs) - 0.3)
        axes.set_xlabel("run")
        axes.set_ylabel("test accuracy, %")
        legend_below(axes)
        said = "; ".join(
            f"{letter}: {of_seeds(run.selected, 'test_accuracy') if run.selected.tested else NONE}%"
            for letter, run in zip(letters, runs, strict=True)
        )
        table = data_table("Test accuracy of each model", ("model", "group", "test %"), rows, texts=2)
        return chart(figure, "Test accuracy by run", f"Test accuracy of the exported rows: {said}.", table)


def _comparable(runs: Sequence[ReportedRun]) -> str:
    """Whether the accuracies of the runs are about the same images."""
    first = runs[0]
    if any(run.inputs.fingerprint != first.inputs.fingerprint for run in runs[1:]):
        return (
            "The runs have different images, or the same images in other splits: a difference between their "
            "accuracies is also one between images."
        )
    return (
        "All runs have the same images in the same splits. Choosing among them by test accuracy would make "
        "that accuracy too high for new images: choose by validation."
    )
