"""Report of the small VTAB on the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean, stdev
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.mini_vtab.report import OURS


def print_report(report: Mapping[str, Any]) -> None:
    """Print the table of all methods, and a line for each comparison with the best single method."""
    console = Console(width=190)
    tasks: Sequence[str] = report["settings"]["tasks"]
    table = Table(
        title=f"test accuracy in %, mean ± standard deviation over {report['settings']['seeds']} seeds",
        title_justify="left",
    )
    for column in ("method", *tasks, "flat mean", "group mean", "searched − it", "W/T/L"):
        table.add_column(column, justify="left" if column == "method" else "right")
    for name, means in report["means"].items():
        cells = [accuracy_cell(report["tasks"][task]["methods"][name]["test_accuracies"]) for task in tasks]
        against = report["against"]["searched"].get(name)
        difference = f"{against['mean']:+.2f} ± {against['error_over_seeds']:.2f}" if against else ""
        counts = f"{against['win']}/{against['tie']}/{against['loss']}" if against else ""
        table.add_row(name, *cells, f"{means['flat']:.2f}", f"{means['groups']:.2f}", difference, counts)
    console.print(table)
    for task in tasks:
        found = report["tasks"][task]
        for ours in OURS:
            pair = found[f"{ours}_minus_best_single"]
            console.print(
                f"{task}: {ours} minus {found['best_single_on_validation']} (the best single method on "
                f"validation data): {pair['mean']:+.2f} ± {pair['error']:.2f}, {pair['outcome']}"
            )


def accuracy_cell(values: Sequence[float]) -> str:
    """Mean and standard deviation of accuracies in per cent, the mean alone for one seed."""
    return f"{fmean(values):.1f}" + (f" ± {stdev(values):.1f}" if len(values) > 1 else "")
