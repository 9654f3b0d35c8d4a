"""Report of the study of choosers on the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.chooser_study.report import GROUPS, PARTS

SHOWN = {
    "validation": (("val_accuracy", "val_accuracy"), ("val_loss", "val_accuracy"), ("val_loss", "val_loss")),
    "test": (
        ("val_accuracy", "test_accuracy"),
        ("val_loss", "test_accuracy"),
        ("test_loss", "test_accuracy"),
    ),
}
"""Printed pairs of inherited score and column of the table; the JSON file has all pairs."""
WIDTH = 190


def print_report(report: Mapping[str, Any]) -> None:
    """Print means over tasks, then each task; validation first, then test."""
    console = Console(width=WIDTH)
    means = report["means_over_tasks"]
    blocks: list[tuple[str, Mapping[str, Any], Iterable[Mapping[str, Any]]]] = []
    if len(means["tasks"]) > 1:
        blocks.append((f"mean over {', '.join(means['tasks'])}", means, means["rows"]))
    for task, about in report["tasks"].items():
        blocks.append((task, about, [row for row in report["rows"] if row["task"] == task]))
    for title, about, rows in blocks:
        for section in PARTS:
            console.print(_tau_table(title, section, about, rows))
        console.print(_accuracy_table(title, rows))
    for line in report["diverged"]:
        console.print(
            f"diverged: {line['task']}, {line['chooser']}, {line['epochs']} epochs: {line['diverged']}"
        )


def _tau_table(
    title: str, section: str, about: Mapping[str, Any], rows: Iterable[Mapping[str, Any]]
) -> Table:
    aim = "by which choices may be made" if section == "validation" else "FOR JUDGING AFTERWARDS ONLY"
    table = Table(
        title=f"{title}: Kendall's tau against the table's {section} columns ({aim})",
        caption="A → B: inherited score A against score B of separate training; in brackets 95% intervals",
    )
    table.add_column("Chooser", no_wrap=True)
    table.add_column("Epochs", justify="right")
    columns = [(group, *pair) for group in ("all", "equal") for pair in SHOWN[section]]
    for group, score, column in columns:
        table.add_column(f"{group}: {_short(score)} → {_short(column)}", justify="right")

    def cells(taus: Mapping[str, Any], score: str | None = None) -> list[str]:
        return [_interval(taus[section][g].get(score or s, {}).get(c)) for g, s, c in columns]

    table.add_row("number of parameters", "", *cells(about["tau_of_parameters"], "val_accuracy"))
    ceilings = about["tau_between_seeds"]
    table.add_row("seed to seed", "", *(_tau(ceilings[g][c]) for g, _, c in columns), end_section=True)
    epochs = None
    for row in rows:
        if epochs is not None and row["epochs"] != epochs:
            table.add_section()
        epochs = row["epochs"]
        table.add_row(row["chooser"], str(epochs), *cells(row["tau"]))
    return table


def _accuracy_table(title: str, rows: Iterable[Mapping[str, Any]]) -> Table:
    table = Table(
        title=f"{title}: mean accuracy in %, inherited (alone); test columns FOR JUDGING AFTERWARDS ONLY",
        caption="in range: only architectures within the range of parameters that the way was trained on; "
        "outside: how many are beyond it, which were never trained",
    )
    table.add_column("Chooser", no_wrap=True)
    for header in ("Epochs", "Outside"):
        table.add_column(header, justify="right")
    columns = [(section, group) for section in PARTS for group in GROUPS]
    for section, group in columns:
        table.add_column(f"{section} {group.replace('_', ' ')}", justify="right")
    for row in rows:
        cells = [row["accuracy"][section][group] for section, group in columns]
        texts = ["-" if c["inherited"] is None else _percent(c["inherited"], c["alone"]) for c in cells]
        table.add_row(row["chooser"], str(row["epochs"]), str(row["outside_never_trained"]), *texts)
    return table


def _percent(inherited: float, alone: float) -> str:
    return f"{100 * inherited:.1f} ({100 * alone:.1f})"


def _short(score: str) -> str:
    return score.replace("_accuracy", " acc").replace("_loss", " loss")


def _tau(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _interval(found: Mapping[str, float | None] | None) -> str:
    if not found or found["tau"] is None or found["low"] is None:
        return "-" if not found else _tau(found["tau"])
    return f"{found['tau']:.2f} [{found['low']:.2f}, {found['high']:.2f}]"
