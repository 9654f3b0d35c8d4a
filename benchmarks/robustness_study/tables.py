"""The study's table: in-domain and shifted accuracy, with wins and losses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.harness.standard_error import mean_and_error

SIGNIFICANT = 2.0
"""Standard errors over seeds beyond which a difference on a task is a win or a loss."""
REFERENCES = ("full fine-tuning", "searched")


def rows_of(lines: Sequence[Mapping[str, Any]]) -> dict[str, dict[tuple[str, int], Mapping[str, Any]]]:
    """The scores of each method, by task and seed."""
    found: dict[str, dict[tuple[str, int], Mapping[str, Any]]] = {}
    for line in lines:
        for name, scores in line["rows"].items():
            found.setdefault(name, {})[line["task"], line["seed"]] = scores
    return found


def against(
    ours: Mapping[tuple[str, int], Mapping[str, Any]],
    theirs: Mapping[tuple[str, int], Mapping[str, Any]],
) -> tuple[float, float, int, int]:
    """Mean difference of shifted accuracy with its standard error over pairs, and tasks won and lost.

    Pairs are of one task and seed. A task is won or lost if the mean over its seeds differs by more than
    `SIGNIFICANT` standard errors; with one seed none is.
    """
    shared = [key for key in ours if key in theirs]
    differences = {key: ours[key]["shifted"] - theirs[key]["shifted"] for key in shared}
    won = lost = 0
    for task in dict.fromkeys(task for task, _ in shared):
        mean, error = mean_and_error([d for (of, _), d in differences.items() if of == task])
        won += mean > SIGNIFICANT * error
        lost += -mean > SIGNIFICANT * error
    mean, error = mean_and_error(list(differences.values())) if shared else (float("nan"), float("nan"))
    return mean, error, won, lost


def table(lines: Sequence[Mapping[str, Any]]) -> list[str]:
    """A row for each method, the best shifted accuracy first, as lines of Markdown."""
    rows = rows_of(lines)
    whole = max(len(of) for of in rows.values())
    found = [
        "| method | pairs | in domain % | shifted % | "
        + " | ".join(f"shifted, minus {name} (won, lost)" for name in REFERENCES)
        + " |",
        "|---|---:|---:|---:|" + "---:|" * len(REFERENCES),
    ]
    means = {
        name: [mean_and_error([s[k] for s in of.values()]) for k in ("in_domain", "shifted")]
        for name, of in rows.items()
    }
    for name in sorted(means, key=lambda name: -means[name][1][0]):
        cells = [f"{100 * mean:.1f}" + _plus_minus(error) for mean, error in means[name]]
        for reference in REFERENCES:
            if reference not in rows or reference == name:
                cells.append("")
                continue
            mean, error, won, lost = against(rows[name], rows[reference])
            cells.append(f"{100 * mean:+.1f}{_plus_minus(error)} ({won}, {lost})")
        mark = "" if len(rows[name]) == whole else f" of {whole}"
        found.append(f"| {name} | {len(rows[name])}{mark} | {' | '.join(cells)} |")
    return found


def by_task(lines: Sequence[Mapping[str, Any]]) -> list[str]:
    """Shifted accuracy of each method on each task, the mean over seeds, as lines of Markdown."""
    rows = rows_of(lines)
    tasks = list(dict.fromkeys(line["task"] for line in lines))
    found = [f"| method | {' | '.join(tasks)} |", "|---|" + "---:|" * len(tasks)]
    for name, of in rows.items():
        cells = []
        for task in tasks:
            values = [scores["shifted"] for (own, _), scores in of.items() if own == task]
            cells.append(f"{100 * mean_and_error(values)[0]:.1f}" if values else "")
        found.append(f"| {name} | {' | '.join(cells)} |")
    return found


def _plus_minus(error: float) -> str:
    return "" if error != error else f" ± {100 * error:.1f}"  # NaN for a single pair
