"""The plain command beside the rows of the small VTAB: full fine-tuning, LP-FT, L2-SP, NOAH, single methods.

    python -m benchmarks.plain_command --task TASK --time auto --seeds 3
    python -m benchmarks.mini_vtab --data FOLDER
    python -m benchmarks.beside_mini_vtab

Reads both reports and trains nothing. The rows of the small VTAB were trained for eight epochs at rates that
validation data chose. Test images are the same, trainings are not, so that seeds are not paired: a difference
on a task is significant by Welch's t test over seeds at 5%.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean

from scipy.stats import ttest_ind

from benchmarks.harness.command_line import StudyParser, exit_status
from benchmarks.harness.results import RESULTS
from benchmarks.harness.standard_error import mean_and_error
from search_spaces import InputError

LEVEL = 0.05
"""Chance of a significant difference between equals."""

HINDSIGHT = "best single method, by hindsight"
ALONE = ("VPT-shallow", "VPT-deep", "LoRA", "adapter", "SSF", "BitFit")
"""Single methods, whose best one on the test images of a task is `HINDSIGHT`."""

Accuracies = Mapping[str, Sequence[float]]
"""Test accuracies in per cent, one for each seed, by task."""


def plain_accuracies(report: Mapping[str, object], time: str) -> dict[str, list[float]]:
    """What the plain command exported with a ``time``."""
    found: dict[str, list[float]] = {}
    lines = report["lines"]
    assert isinstance(lines, list)
    for line in lines:
        if line["time"] == time:
            found.setdefault(line["task"], []).append(100 * line["rows"][line["exported"]]["test"])
    return found


def method_accuracies(
    tasks: Mapping[str, Mapping[str, Mapping[str, Mapping[str, Sequence[float]]]]],
) -> dict[str, dict[str, Sequence[float]]]:
    """The rows of the small VTAB by method, and the best single method of each task by hindsight."""
    found: dict[str, dict[str, Sequence[float]]] = {}
    for task, of_task in tasks.items():
        for method, row in of_task["methods"].items():
            found.setdefault(method, {})[task] = row["test_accuracies"]
    alone = [found[method] for method in ALONE if method in found]
    if alone:
        found[HINDSIGHT] = {task: max((of[task] for of in alone), key=fmean) for task in tasks}
    return found


def compared(plain: Accuracies, other: Accuracies) -> tuple[dict[str, float], dict[str, str]]:
    """The lead of the plain command on each task of both, and where it is significantly ahead or behind."""
    leads, verdicts = {}, {}
    for task in plain:
        if task in other:
            leads[task] = fmean(plain[task]) - fmean(other[task])
            chance = float(ttest_ind(plain[task], other[task], equal_var=False).pvalue)
            verdicts[task] = "tied" if not chance < LEVEL else "won" if leads[task] > 0 else "lost"
    return leads, verdicts


def table(plain: Accuracies, methods: Mapping[str, Accuracies]) -> list[str]:
    """Markdown: the lead on each method by task, its mean with the standard error over tasks, and verdicts.

    A significant lead or loss is in bold.
    """
    tasks = [task for task in plain if all(task in of for of in methods.values())]
    rows = [
        f"| method | {' | '.join(tasks)} | mean | lead | won/tied/lost |",
        "|---|" + "---:|" * (len(tasks) + 3),
    ]
    own = [fmean(plain[task]) for task in tasks]
    rows.append(f"| exported | {' | '.join(f'{x:.1f}' for x in own)} | {fmean(own):.1f} |  |  |")
    for method, of_method in methods.items():
        leads, verdicts = compared({task: plain[task] for task in tasks}, of_method)
        mean, error = mean_and_error([leads[task] for task in tasks])
        cells = [
            f"{leads[task]:+.1f}" if verdicts[task] == "tied" else f"**{leads[task]:+.1f}**" for task in tasks
        ]
        counts = "/".join(str(list(verdicts.values()).count(v)) for v in ("won", "tied", "lost"))
        level = fmean(fmean(of_method[task]) for task in tasks)
        rows.append(
            f"| {method} | {' | '.join(cells)} | {level:.1f} | {mean:+.1f} ± {error:.1f} | {counts} |"
        )
    return rows


def run(argv: Sequence[str]) -> None:
    """Print the table. Raises `InputError` for a report that is missing."""
    parser = StudyParser("beside_mini_vtab", "Set the plain command beside the rows of the small VTAB.")
    add = parser.add_argument
    add("--plain", type=Path, default=RESULTS / "plain_command.json", help="report (%(default)s)")
    add("--mini-vtab", type=Path, default=RESULTS / "mini_vtab.json", help="report (%(default)s)")
    add("--time", default="auto", help="time of the plain runs (%(default)s)")
    args = parser.parse_args(argv)
    for file in (args.plain, args.mini_vtab):
        if not file.is_file():
            raise InputError(f"there is no report '{file}'; the study of that name makes one")
    plain = plain_accuracies(json.loads(args.plain.read_text(encoding="utf-8")), args.time)
    methods = method_accuracies(json.loads(args.mini_vtab.read_text(encoding="utf-8"))["tasks"])
    if not set(plain) & set(next(iter(methods.values()))):
        raise InputError(f"'{args.plain}' has no run with --time {args.time} on a task of the small VTAB")
    print("\n".join(table(plain, methods)))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status, 2 for a mistake in the arguments."""
    return exit_status(run, argv)


if __name__ == "__main__":
    sys.exit(main())
