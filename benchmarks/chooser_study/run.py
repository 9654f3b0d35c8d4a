"""Command line of the study of choosers."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import torch

from benchmarks.chooser_study.report import report_on
from benchmarks.chooser_study.study import ChooserJob, ChooserStudy, seconds_of
from benchmarks.chooser_study.tables import print_report
from benchmarks.chooser_study.ways import WAYS
from benchmarks.harness.command_line import StudyParser, exit_status, whole_number
from benchmarks.harness.finished_table import TABLE, FinishedTable
from benchmarks.harness.lines import append_line, read_lines, resumed_lines
from benchmarks.harness.machine import environment
from benchmarks.harness.results import RESULTS, write_result
from benchmarks.harness.workers import run_jobs
from search_spaces import InputError, unknown_name
from supernet import Precision

OUT = RESULTS / "chooser_study.jsonl"
EPOCHS = (10, 30, 100)


def run_study(args: argparse.Namespace) -> None:
    """Train and score the missing supernets. Raises `InputError`."""
    study = ChooserStudy.load(args)
    study.require_same_table()
    lines = resumed_lines(args.out, {"results": study.setup(), **environment(args)})
    done = {(line["task"], line["chooser"], line["epochs"], line["seed"]) for line in lines}
    jobs = [
        ChooserJob(task, chooser, epochs, seed, args.scoring_precision)
        for epochs in sorted(set(args.epochs))
        for seed in range(args.seeds)
        for chooser in args.chooser
        for task in study.tasks
    ]
    missing = {job.key: job for job in jobs if job.key not in done}

    def minutes_left() -> float:
        n = len(study.table.entries)
        each = (seconds_of(job, study.tasks[job.task], n, lines, args.workers) for job in missing.values())
        minutes: float = sum(each) / args.workers / 60
        return minutes

    print(
        f"{len(missing)} supernets to train, about {minutes_left():.0f} minutes", file=sys.stderr, flush=True
    )
    for line in run_jobs(list(missing.values()), args, study):
        append_line(args.out, line)
        lines.append(line)
        del missing[(line["task"], line["chooser"], line["epochs"], line["seed"])]
        what = f"{line['task']}, {line['chooser']}, {line['epochs']} epochs"
        left = f"{len(missing)} left, about {minutes_left():.0f} minutes"
        print(f"{what}: {line['diverged'] or 'done'}; {left}", file=sys.stderr, flush=True)


def write_report(args: argparse.Namespace) -> None:
    """Compare the finished supernets with the table; print and write the report. Raises `InputError`."""
    lines = read_lines(args.out)
    setup_file = args.out.with_suffix(".json")
    if not (lines and setup_file.exists()):
        raise InputError(f"no study at '{args.out}'; run this without --report first")
    setup = json.loads(setup_file.read_text(encoding="utf-8"))
    report = report_on(FinishedTable.read(args.table), lines, setup)
    print_report(report)
    write_result(args.out.with_suffix(".report.json"), report, indent=2)


def run(argv: Sequence[str]) -> None:
    """Train what is missing, or write the report. Raises `InputError`."""
    parser = StudyParser(
        "chooser_study", "Compare ways of training a supernet by how their inherited scores rank subnets."
    )
    add = parser.add_argument
    add(
        "--table",
        type=Path,
        default=TABLE,
        help="lines of python -m benchmarks.architecture_table (benchmarks/results/architecture_table.jsonl)",
    )
    add("--out", type=Path, default=OUT, help="JSON-lines file (benchmarks/results/chooser_study.jsonl)")
    add("--report", action="store_true", help="train nothing; compare the scores in --out with the table")
    study = parser.add_argument_group("training (not with --report)")
    add = study.add_argument
    add("--task", action="append", help="data set of the table: a folder or a name; repeat for more (digits)")
    add("--chooser", action="append", help=f"way of training; repeat for more ({', '.join(WAYS)})")
    add(
        "--epochs",
        action="append",
        type=whole_number,
        help="passes of the training part; repeat for more (10, 30 and 100)",
    )
    add("--seeds", type=whole_number, help="supernets of each task, chooser and number of epochs (1)")
    add("--scoring-precision", choices=get_args(Precision), help="precision of the scoring alone (fp32)")
    add("--workers", type=whole_number, help="processes that share the cores (1)")
    add("--device", help="device of training and scoring (cuda if there is one, else cpu)")
    args = parser.parse_args(argv)
    training = ("task", "chooser", "epochs", "seeds", "scoring_precision", "workers", "device")
    if args.report:
        if given := [f"--{name.replace('_', '-')}" for name in training if getattr(args, name) is not None]:
            raise InputError(f"--report trains nothing; leave out {', '.join(given)}")
        write_report(args)
        return
    args.task = args.task or ["digits"]
    args.chooser = args.chooser or list(WAYS)
    args.epochs = args.epochs or list(EPOCHS)
    args.seeds = args.seeds or 1
    args.workers = args.workers or 1
    args.scoring_precision = args.scoring_precision or "fp32"
    args.device = args.device or ("cuda" if torch.cuda.is_available() else "cpu")
    for chooser in args.chooser:
        if chooser not in WAYS:
            raise unknown_name("chooser", chooser, WAYS)
    run_study(args)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status, 2 for a mistake in the arguments."""
    return exit_status(run, argv)
