"""The command line of the study."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks.harness.command_line import StudyParser, exit_status, whole_number
from benchmarks.harness.halves import HALVES
from benchmarks.harness.machine import environment
from benchmarks.harness.results import RESULTS, write_result
from benchmarks.robustness_study.scatter import scatter
from benchmarks.robustness_study.study import BASELINES, OBJECTIVES, Study
from benchmarks.robustness_study.tables import OURS, by_task, rows_of, table, without_each
from benchmarks.robustness_study.tasks import NAMES, study_task

OUT = RESULTS / "robustness_study.json"
LINES = RESULTS / "robustness_study.jsonl"


def severities(text: str) -> list[int]:
    """Severities separated by commas. Raises ``ValueError`` for anything but whole numbers from 1 to 5."""
    levels = [int(word) for word in text.split(",")]
    if not all(1 <= level <= 5 for level in levels):
        raise ValueError(f"severities are {text}; give numbers from 1 to 5, such as 1,3,5")
    return levels


def parsed(argv: Sequence[str]) -> argparse.Namespace:
    """The options. Raises `InputError` for a mistake in them."""
    parser = StudyParser("robustness_study", "Compare ways of adaptation under shift.")
    add = parser.add_argument
    add("--task", action="append", choices=NAMES, help="task; repeat for more (all)")
    add("--data", type=Path, default=Path("../shared/data"), help="folder of cifar100, dtd10 and pacs")
    add("--store", type=Path, default=Path("runs/robustness_study"), help="folder of runs")
    add("--lines", type=Path, default=LINES, help="finished lines, with which any machine goes on")
    add("--out", type=Path, default=OUT, help="JSON file of the report")
    add("--objective", action="append", choices=OBJECTIVES, help="objective; repeat for more (both)")
    add("--plot", type=Path, help="picture of in-domain against shifted accuracy")
    add("--half", choices=HALVES, default="develop", help="half of the test images (%(default)s)")
    add("--seeds", type=whole_number, default=3, help="seeds of each task (%(default)s)")
    add("--epochs", type=whole_number, default=8, help="epochs of each training (%(default)s)")
    add("--supernet-epochs", type=whole_number, default=8, help="epochs of a supernet (%(default)s)")
    add("--generations", type=whole_number, default=4, help="generations of a search (%(default)s)")
    add("--population", type=whole_number, default=12, help="candidates of a generation (%(default)s)")
    add("--augmentation", default="none", help="augmentations that every row may choose from (%(default)s)")
    add(
        "--robust-augmentation",
        default="none,augmix",
        help="the same with the robust objective (%(default)s)",
    )
    add("--l2-sp", type=float, default=0.0, help="strength of L2-SP for modules (%(default)s)")
    add("--retrain", type=whole_number, default=3, help="searched subnets that are retrained (%(default)s)")
    add("--soup", type=whole_number, default=3, help="trainings in a soup, at least 2 (%(default)s)")
    add("--baselines", default=BASELINES, help="baselines beside the searched subnets (%(default)s)")
    add("--noah-seeds", type=int, default=1, help="seeds that NOAH takes part in (%(default)s)")
    add("--severities", type=severities, default="1,3,5", help="of each corruption (%(default)s)")
    add(
        "--images",
        type=whole_number,
        help="most test images of a half to measure on, where each has its corrupted copies (all)",
    )
    device = "cuda" if torch.cuda.is_available() else "cpu"
    add("--device", default=device, help="device of everything (%(default)s)")
    args = parser.parse_args(argv)
    args.workers = 1
    args.task, args.objective = args.task or list(NAMES), args.objective or list(OBJECTIVES)
    return args


def run(argv: Sequence[str]) -> None:
    """Run and measure what is missing; write and print the report. Raises `InputError`."""
    args = parsed(argv)
    tasks = [study_task(name, args.data, args.store) for name in args.task]
    study = Study(args)
    lines = study.lines(tasks, args.half)
    report = {
        **environment(args),
        "half": args.half,
        "seeds": args.seeds,
        "options": study.options(),
        "tasks": {task.name: task.about for task in tasks},
        "lines": lines,
    }
    write_result(args.out, report, indent=1)
    shown = [*table(lines), "", "Shifted accuracy % by task:", "", *by_task(lines)]
    if OURS in rows_of(lines) and len(tasks) > 1:
        shown += ["", "Leads with one task left out:", "", *without_each(lines)]
    print("\n".join(shown))
    if args.plot is not None:
        scatter(args.plot, lines, {task.name: task.shift for task in tasks})


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status, 2 for a mistake in the arguments."""
    return exit_status(run, argv)
