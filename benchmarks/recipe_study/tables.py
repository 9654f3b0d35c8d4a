"""The tables of the study: gains over ``vtab``, paired by task and seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from benchmarks.harness.standard_error import mean_and_error
from benchmarks.recipe_study.choices import CHOICES, ROWS, VTAB

SIGNIFICANT = 0.05
"""Level of McNemar's exact test below which a task is won or lost on the test images."""


def validation_table(trainings: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line for each row and choice: its mean gain over ``vtab`` in validation accuracy and loss.

    Each task counts once, with the mean over its seeds; the error is that over tasks. The line ``chosen`` is
    of the recipe that these very images have chosen, and therefore too high.
    """
    lines = [
        "| row | choice | accuracy, points | calibrated loss | tasks better : worse in loss | pairs |",
        "|---|---|---|---|---|---|",
    ]
    for row in dict.fromkeys(one["row"] for one in trainings):
        of_row = [one for one in trainings if one["row"] == row]
        base = {(one["task"], one["seed"]): one["val"] for one in of_row if one["recipe"] == VTAB}
        for choice in (*CHOICES, "chosen"):
            tried = [
                one for one in of_row if (one["chosen"] if choice == "chosen" else one["recipe"] == choice)
            ]
            found = {(one["task"], one["seed"]): one["val"] for one in tried}
            if found:
                lines.append(f"| {ROWS[row].label} | {choice} | {_validation_cells(base, found)} |")
    return lines


def _validation_cells(base: Mapping[tuple[str, int], Any], found: Mapping[tuple[str, int], Any]) -> str:
    pairs = [key for key in found if found[key] is not None and base.get(key) is not None]
    diverged = len(found) - len(pairs)
    note = f", {diverged} diverged" if diverged else ""
    if not pairs:
        return f"– | – | – | 0{note}"
    accuracy, loss = [], []
    for task in dict.fromkeys(task for task, _ in pairs):
        keys = [key for key in pairs if key[0] == task]
        accuracy.append(fmean(100 * (found[k]["accuracy"] - base[k]["accuracy"]) for k in keys))
        loss.append(fmean(found[k]["calibrated_loss"] - base[k]["calibrated_loss"] for k in keys))
    better, worse = sum(x < 0 for x in loss), sum(x > 0 for x in loss)
    return f"{_mean(accuracy, 1)} | {_mean(loss, 3)} | {better} : {worse} | {len(pairs)}{note}"


def reading_table(readings: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line for each row: the gain of the chosen recipe over ``vtab`` on the half of the test images.

    A task is won or lost by McNemar's exact test of its images, over all seeds.
    """
    lines = [
        "| row | vtab % | chosen % | gain, points | tasks won : lost | pairs |",
        "|---|---|---|---|---|---|",
    ]
    for row in dict.fromkeys(one["row"] for one in readings):
        of_row = [one for one in readings if one["row"] == row]
        tasks = {
            task: [one for one in of_row if one["task"] == task]
            for task in dict.fromkeys(one["task"] for one in of_row)
        }
        gains = [fmean(100 * (one["chosen"] - one["vtab"]) for one in of) for of in tasks.values()]
        outcomes = [outcome(of) for of in tasks.values()]
        means = (
            100 * fmean(fmean(one[name] for one in of) for of in tasks.values())
            for name in ("vtab", "chosen")
        )
        cells = [*(f"{mean:.1f}" for mean in means), _mean(gains, 1)]
        cells.append(f"{outcomes.count(1)} : {outcomes.count(-1)}")
        lines.append(f"| {ROWS[row].label} | {' | '.join(cells)} | {len(of_row)} |")
    return lines


def outcome(pairs: Sequence[Mapping[str, Any]]) -> int:
    """1, 0 or -1 if the chosen recipe won, tied or lost on a task, by McNemar's exact test over all pairs."""
    from scipy.stats import binomtest

    ours, theirs = (sum(one[name] for one in pairs) for name in ("chosen_only", "vtab_only"))
    if ours == theirs or binomtest(ours, ours + theirs).pvalue >= SIGNIFICANT:
        return 0
    return 1 if ours > theirs else -1


def _mean(values: Sequence[float], digits: int) -> str:
    mean, error = mean_and_error(values)
    return f"{mean:+.{digits}f}" + (f" ± {error:.{digits}f}" if len(values) > 1 else "")
