"""The study's table: in-domain and shifted accuracy, with wins and losses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from scipy import stats

from benchmarks.harness.standard_error import mean_and_error

LEVEL = 0.05
"""Level, two-sided, of the t test over seeds by which a difference on a task is a win or a loss."""
OURS = "searched robustly"
REFERENCES = ("full fine-tuning", "searched")
SCORES = ("in_domain", "shifted")


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
    """Mean difference of shifted accuracy with its standard error over tasks, and tasks won and lost.

    Differences are of pairs of one task and seed. Seeds of a task share its images, so that the mean and its
    error are those of the tasks' means. A task is won or lost if its differences, one for each seed, are not
    of mean 0 by Student's t test at `LEVEL`; with one seed none is.
    """
    by_task: dict[str, list[float]] = {}
    for task, seed in ours:
        if (task, seed) in theirs:
            difference = ours[task, seed]["shifted"] - theirs[task, seed]["shifted"]
            by_task.setdefault(task, []).append(difference)
    if not by_task:
        return float("nan"), float("nan"), 0, 0
    signs = [_sign(values) for values in by_task.values()]
    mean, error = mean_and_error([fmean(values) for values in by_task.values()])
    return mean, error, signs.count(1), signs.count(-1)


def _sign(differences: Sequence[float]) -> int:
    """1 or -1 for differences that are significantly above or below 0, else 0."""
    if len(differences) < 2:
        return 0
    mean, error = mean_and_error(differences)
    if abs(mean) <= error * float(stats.t.ppf(1 - LEVEL / 2, len(differences) - 1)):
        return 0
    return 1 if mean > 0 else -1


def table(lines: Sequence[Mapping[str, Any]]) -> list[str]:
    """A row for each method, the best shifted accuracy first, as lines of Markdown.

    Means are over tasks, of their means over seeds, with the standard error over tasks.
    """
    rows = rows_of(lines)
    whole = max(len(of) for of in rows.values())
    found = [
        "| method | pairs | in domain % | shifted % | "
        + " | ".join(f"shifted, minus {name} (won, lost)" for name in REFERENCES)
        + " |",
        "|---|---:|---:|---:|" + "---:|" * len(REFERENCES),
    ]
    means = {
        name: [_over_tasks({pair: scores[key] for pair, scores in of.items()}) for key in SCORES]
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


def without_each(lines: Sequence[Mapping[str, Any]]) -> list[str]:
    """The lead of `OURS` over each reference with each task left out, as lines of Markdown."""
    rows = rows_of(lines)
    known = [name for name in REFERENCES if name in rows]
    found = [
        f"| without | {' | '.join(f'{OURS}, minus {name}' for name in known)} |",
        "|---|" + "---:|" * len(known),
    ]
    for task in dict.fromkeys(line["task"] for line in lines):
        ours = {pair: scores for pair, scores in rows[OURS].items() if pair[0] != task}
        leads = [against(ours, rows[name])[:2] for name in known]
        cells = [f"{100 * mean:+.1f}{_plus_minus(error)}" for mean, error in leads]
        found.append(f"| {task} | {' | '.join(cells)} |")
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


def _over_tasks(values: Mapping[tuple[str, int], float]) -> tuple[float, float]:
    """Mean of the tasks' means over seeds, and its standard error."""
    by_task: dict[str, list[float]] = {}
    for (task, _), value in values.items():
        by_task.setdefault(task, []).append(value)
    return mean_and_error([fmean(found) for found in by_task.values()])


def _plus_minus(error: float) -> str:
    return "" if error != error else f" ± {100 * error:.1f}"  # NaN for a single task
