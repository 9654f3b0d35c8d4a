"""Store of finished searches and trainings: one line for each, models beside them, test sets sealed.

Studies share a store, so that a search or a training that two of them need is done once. A line and a model
are found by the job's key, the digest of everything that decides them.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.harness.bench import Bench, Job, Line
from benchmarks.harness.command_line import whole_number
from benchmarks.harness.jobs import TrainingJob
from benchmarks.harness.lines import append_line, read_lines, rewrite_lines
from benchmarks.harness.machine import environment
from benchmarks.harness.workers import run_jobs
from search_spaces import InputError
from supernet import write_atomically


class Store:
    """Lines of a folder, to which only this process appends."""

    def __init__(self, args: argparse.Namespace, bench: Bench) -> None:
        """Read or start the folder ``args.store``. Raises `InputError` for a store of another backbone."""
        self._args, self._bench = args, bench
        self._file = args.store / "lines.jsonl"
        args.store.mkdir(parents=True, exist_ok=True)
        setup_file = args.store / "setup.json"
        of = {"name": bench.backbone.name, "digest": bench.backbone.digest}
        if not setup_file.exists():
            setup = {"backbone": of, **environment(args)}
            write_atomically(setup_file, (json.dumps(setup, indent=2) + "\n").encode())
        self.setup: dict[str, Any] = json.loads(setup_file.read_text(encoding="utf-8"))
        if self.setup["backbone"] != of:
            raise InputError(f"'{args.store}' holds studies of another backbone; give another --store")
        lines = read_lines(self._file)
        rewrite_lines(self._file, lines)
        self._lines = {line["key"]: line for line in lines}

    def __contains__(self, job: Job) -> bool:
        return job.key in self._lines

    def __getitem__(self, job: Job) -> Line:
        return self._lines[job.key]

    def run(self, jobs: Iterable[Job], what: str) -> None:
        """Run each missing job once and append its line as it ends; ``what`` names them in the progress."""
        missing = list({job.key: job for job in jobs if job not in self}.values())
        started = time.perf_counter()
        for count, line in enumerate(run_jobs(missing, self._args, self._bench), 1):
            append_line(self._file, line)
            self._lines[line["key"]] = line
            left = (time.perf_counter() - started) / count * (len(missing) - count) / 60
            print(
                f"{what}: {count}/{len(missing)}, about {left:.0f} minutes left", file=sys.stderr, flush=True
            )

    def accuracy_key(self, job: TrainingJob) -> tuple[float, float]:
        """Sort key, best first: validation accuracy, then loss; diverged trainings last."""
        val: Mapping[str, float] | None = self[job]["val"]
        return (-val["accuracy"], val["loss"]) if val else (float("inf"), float("inf"))

    def loss_key(self, job: TrainingJob) -> tuple[float, float]:
        """Sort key, best first: validation loss, then accuracy; diverged trainings last."""
        val: Mapping[str, float] | None = self[job]["val"]
        return (val["loss"], -val["accuracy"]) if val else (float("inf"), float("inf"))

    def highest_accuracy(self, jobs: Sequence[TrainingJob]) -> TrainingJob:
        """Training with the highest validation accuracy; of equal ones that with the lowest loss."""
        return min(jobs, key=self.accuracy_key)

    def lowest_loss(self, jobs: Sequence[TrainingJob]) -> TrainingJob:
        """Training with the lowest validation loss, then the highest accuracy: the rule of these studies."""
        return min(jobs, key=self.loss_key)


def add_store_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that all studies with a store have."""
    add = parser.add_argument
    add("--task", action="append", help="data set: a folder or a name; repeat for more (digits)")
    add("--backbone", default="vit_micro_patch8_32", help="timm name (%(default)s)")
    add("--store", type=Path, default=Path("runs/studies"), help="folder of lines and models (%(default)s)")
    add("--workers", type=whole_number, default=1, help="processes that share the cores (%(default)s)")
    add(
        "--device",
        default="cuda" if torch.cuda.is_available() else "cpu",
        help="device of all trainings (%(default)s)",
    )
