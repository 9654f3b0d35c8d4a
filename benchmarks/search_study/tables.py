"""Report of the study of the search on the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table


def print_report(report: Mapping[str, Any]) -> None:
    """Print methods and differences, then costs and the effect of racing, then tau by task."""
    console = Console(width=140)
    pairs = len(report["runs"])
    table = Table(title=f"final models, means over {pairs} pairs of task and seed", title_justify="left")
    for name in (
        "method",
        "params",
        "validation %",
        "test %",
        "evolution minus it, points",
        "higher/equal/lower",
    ):
        table.add_column(name, justify="left" if name == "method" else "right")
    for name, found in report["methods"].items():
        difference = report["evolution_minus"].get(name)
        table.add_row(
            name,
            f"{found['params']['mean']:,.0f}",
            f"{found['val_accuracy']['mean']:.2f}",
            f"{found['test_accuracy']['mean']:.2f}",
            _with_error(difference) if difference else "",
            _counts(difference) if difference else "",
        )
    console.print(table)
    better = report["inherited_loss_evolution_minus_random"]
    console.print(
        f"best inherited validation loss, evolution minus random: {_with_error(better, 4)} "
        f"(higher/equal/lower {_counts(better)})"
    )
    cost = report["cost"]
    console.print(
        f"supernet {cost['supernet_images']:,.0f} images forward and backward, search "
        f"{cost['scoring_passes']:,.0f} forward (random {cost['random_scoring_passes']:,.0f}): "
        f"{cost['in_retrainings']:.2f} retrainings ({cost['in_retrainings_backward_as_two']:.2f} with a "
        "backward pass as two)"
    )
    racing = report["racing"]
    console.print(
        f"racing saves {racing['images_saved']['mean']:.0f}% of the images; same winner in "
        f"{racing['same_winner']} of {racing['of']}"
    )
    for name, parts in report["inherited_minus_retrained"].items():
        console.print(
            f"{name}: inherited minus retrained, points: validation {_with_error(parts['val'])}, test "
            f"{_with_error(parts['test'])}"
        )
    for name, tasks in report["table"].items():
        if tasks:
            console.print(_taus(name, tasks))


def _taus(name: str, tasks: Mapping[str, Any]) -> Table:
    table = Table(title=f"{name}: tau with separate training", title_justify="left")
    for column in ("task", "of", "by loss", "by accuracy", "parameters", "ceiling"):
        table.add_column(column)
    for task, groups in tasks.items():
        for group, found in groups.items():
            cells = [_interval(found[key]) for key in ("by_loss", "by_accuracy", "params")]
            table.add_row(task, group, *cells, f"{found['ceiling']:.2f}")
    return table


def _interval(tau: Mapping[str, float]) -> str:
    return f"{tau['tau']:.2f} [{tau['low']:.2f}, {tau['high']:.2f}]"


def _with_error(found: Mapping[str, float], digits: int = 2) -> str:
    return f"{found['mean']:+.{digits}f} ± {found['error']:.{digits}f}"


def _counts(found: Mapping[str, float]) -> str:
    return f"{found['higher']}/{found['equal']}/{found['lower']}"
