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
from benchmarks.harness.jobs import TestJob, TrainingJob, opened_file
from benchmarks.harness.keys import task_name
from benchmarks.harness.lines import append_line, read_lines, rewrite_lines
from benchmarks.harness.machine import environment
from benchmarks.harness.workers import run_jobs
from search_spaces import InputError
from supernet import write_atomically


class Store:
    """Lines of a folder, to which only this process appends.

    Args:
        args: options of the study.
        bench: backbone and data sets.
        tasks: data sets of the study. Lines name them by the last parts of their paths, so no two may have
            one name, and the store remembers the fingerprint of each.
        study: name by which the study reads test parts with `TestJob`, if it does.

    Raises `InputError` for a store of another backbone or of other data of one name, and for two tasks of one
    name.
    """

    def __init__(
        self, args: argparse.Namespace, bench: Bench, tasks: Sequence[str], study: str | None = None
    ) -> None:
        self._args, self._bench, self._study = args, bench, study
        names = [task_name(task) for task in tasks]
        if twice := [name for name in names if names.count(name) > 1]:
            raise InputError(
                f"two data sets are called '{twice[0]}', and lines have no more than the name; rename the "
                "folder of one"
            )
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
        known = dict(self.setup.get("tasks", {}))
        found = {name: bench.fingerprint(task) for name, task in zip(names, tasks, strict=True)}
        if other := next((name for name in names if known.get(name, found[name]) != found[name]), None):
            raise InputError(
                f"'{args.store}' holds lines of other data called '{other}'; rename the folder of the data, "
                "or give another --store"
            )
        if not found.items() <= known.items():
            self.setup["tasks"] = known | found
            write_atomically(setup_file, (json.dumps(self.setup, indent=2) + "\n").encode())
        lines = read_lines(self._file)
        rewrite_lines(self._file, lines)
        self._lines = {line["key"]: line for line in lines}

    def __contains__(self, job: Job) -> bool:
        return job.key in self._lines

    def __getitem__(self, job: Job) -> Line:
        return self._lines[job.key]

    def run(self, jobs: Iterable[Job], what: str) -> None:
        """Run each missing job once and append its line as it ends; ``what`` names them in the progress.

        Raises `InputError`, before anything is trained, where the study has read the test part of a task
        already: other models would be chosen after that reading.
        """
        asked = {job.key: job for job in jobs}.values()
        missing = [job for job in asked if job not in self]
        for job in asked:
            self._require_unread(job)
        started = time.perf_counter()
        for count, line in enumerate(run_jobs(missing, self._args, self._bench), 1):
            append_line(self._file, line)
            self._lines[line["key"]] = line
            left = (time.perf_counter() - started) / count * (len(missing) - count) / 60
            print(
                f"{what}: {count}/{len(missing)}, about {left:.0f} minutes left", file=sys.stderr, flush=True
            )

    def _require_unread(self, job: Job) -> None:
        if isinstance(job, TestJob):
            other = job in self and not {key for key, _ in job.models} <= set(self[job]["of"])
        else:
            read = self._study is not None and opened_file(self._bench, self._study, job.task).exists()
            other = read and job not in self
        if other:
            raise InputError(
                f"the study has read the test part of '{task_name(job.task)}' for other models in "
                f"'{self._args.store}'; a test part is read once: give another --store for a new study"
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
