"""Train 36 architectures alone, once, as the table that every study of the search is judged by.

::

    python -m benchmarks.architecture_table --task digits --task FOLDER --workers 2

The architectures are of the default space on the shipped backbone (``--backbone``). Half of them are spread
over all sizes, flat over the logarithm of their parameters; half are of nearly equal size (8,100 to 9,700
parameters at width 128). Both halves contain single methods, in all layers and in a part of them. Each
architecture is trained on the training set of each task with each seed, and scored on the validation set
and on the test set. **The test columns are for judging searchers afterwards, never for choosing anything.**

A training is what ``nas-peft search`` does with a searched subnet: the head alone for 20 epochs at 3e-3 on
cached features, then modules and head for 10 epochs (``--epochs``) of AdamW at a peak learning rate of
5e-3, batches of 64, weight decay 1e-4, cosine decay after 10% warm-up, no augmentation.

Each training appends one JSON line to ``--out`` as it ends, the first seed of everything before the second;
the same command resumes. Recipe, backbone, machine, versions and fingerprints of the data, which all lines
share, go to a ``.json`` file beside the lines; a run with another setup is refused.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.harness.command_line import StudyParser, exit_status, whole_number
from benchmarks.harness.finished_table import TABLE
from benchmarks.harness.judged_architectures import SPACE, Entry, architectures
from benchmarks.harness.lines import append_line, resumed_lines
from benchmarks.harness.machine import environment
from benchmarks.harness.opened_task import OpenedTask, load_tasks
from benchmarks.harness.recipes import HEAD, LR
from benchmarks.harness.workers import run_jobs
from nas_peft.training.trainings import probe_head
from search_spaces import count_params
from search_spaces.streams import stream_seed
from supernet import (
    DEFAULT_BACKBONE,
    Backbone,
    Constant,
    Preprocessing,
    Recipe,
    Supernet,
    create_backbone,
    evaluate,
    train,
)

EPOCHS = 10


@dataclass(frozen=True)
class TableJob:
    """One training of the table."""

    task: str
    entry: Entry
    seed: int

    @property
    def key(self) -> tuple[str, str, int]:
        """Task, architecture and seed, which identify the line."""
        return (self.task, json.dumps(self.entry.architecture.to_dict()), self.seed)


@dataclass(frozen=True)
class TableTrainer:
    """Backbone, data sets and recipe, which a worker process loads once."""

    backbone: Backbone
    preprocessing: Preprocessing
    tasks: dict[str, OpenedTask]
    recipe: Recipe
    device: str

    @classmethod
    def load(cls, args: argparse.Namespace, threads: int | None = None) -> TableTrainer:
        """Load backbone and data sets of the command line. Raises `InputError`."""
        if threads:
            torch.set_num_threads(threads)
        backbone = create_backbone(args.backbone)
        backbone.model.to(args.device)
        preprocessing = Preprocessing.of(backbone.model)
        tasks = load_tasks(args.task, backbone, preprocessing)
        return cls(backbone, preprocessing, tasks, Recipe(args.epochs, LR), args.device)

    def run(self, job: TableJob) -> dict[str, Any]:
        """Train one architecture alone and score it; returns the line of the table."""
        task, a = self.tasks[job.task], job.entry.architecture
        started = time.perf_counter()
        seed = stream_seed(job.seed, "architecture table", job.task, job.key[1])
        network = Supernet(self.backbone.model, a, task.classes, seed=seed)
        labels = task.train.labels
        probe_head(network, labels, task.features, self.preprocessing, HEAD, seed)
        curve = train(
            network,
            task.train.images,
            labels,
            preprocessing=self.preprocessing,
            chooser=Constant(a),
            recipe=self.recipe,
            seed=seed,
        )
        seconds = time.perf_counter() - started
        line: dict[str, Any] = {"task": job.task, "group": job.entry.group, "architecture": a.to_dict()}
        line |= {"params": count_params(a, self.backbone.shape), "seed": job.seed}
        for name, part in (("val", task.val), ("test", task.test)):
            scores = evaluate(network, part.images, part.labels, preprocessing=self.preprocessing)
            line |= {f"{name}_accuracy": scores.accuracy, f"{name}_loss": scores.loss}
        line |= {"image_passes": curve.image_passes, "seconds": round(seconds, 2)}
        return line


def keys_of(lines: Iterable[dict[str, Any]]) -> set[tuple[str, str, int]]:
    """`TableJob.key` of each line."""
    return {(line["task"], json.dumps(line["architecture"]), line["seed"]) for line in lines}


def run(argv: Sequence[str]) -> None:
    """Train the missing architectures of the command line. Raises `InputError`."""
    parser = StudyParser("architecture_table", "Train each architecture of the table alone.")
    add = parser.add_argument
    add("--task", action="append", help="data set: a folder or a name; repeat for more (digits)")
    add("--backbone", default=DEFAULT_BACKBONE, help="timm name (%(default)s)")
    add("--seeds", type=whole_number, default=3, help="trainings of each architecture (%(default)s)")
    add("--epochs", type=whole_number, default=EPOCHS, help="epochs of each training (%(default)s)")
    add("--limit", type=whole_number, help="train only this many architectures of each group (all)")
    add("--workers", type=whole_number, default=1, help="processes that share the cores (%(default)s)")
    add(
        "--device",
        default="cuda" if torch.cuda.is_available() else "cpu",
        help="device of all trainings (%(default)s)",
    )
    add(
        "--out",
        type=Path,
        default=TABLE,
        help="JSON-lines file (benchmarks/results/architecture_table.jsonl)",
    )
    args = parser.parse_args(argv)
    args.task = args.task or ["digits"]

    trainer = TableTrainer.load(args)
    results = {
        "backbone": {"name": trainer.backbone.name, "digest": trainer.backbone.digest},
        "space": SPACE,
        "recipe": trainer.recipe.to_dict(),
        "head": HEAD.to_dict(),
        "tasks": {name: task.fingerprint for name, task in trainer.tasks.items()},
    }
    lines = resumed_lines(args.out, {"results": results, **environment(args)})
    entries = architectures(trainer.backbone.shape)
    if args.limit:
        half = len(entries) // 2
        entries = entries[: args.limit] + entries[half : half + args.limit]
    done = keys_of(lines)
    jobs = [TableJob(t, e, seed) for seed in range(args.seeds) for e in entries for t in trainer.tasks]
    jobs = [job for job in jobs if job.key not in done]
    started = time.perf_counter()
    for count, line in enumerate(run_jobs(jobs, args, trainer), 1):
        append_line(args.out, line)
        spent = time.perf_counter() - started
        left = spent / count * (len(jobs) - count) / 60
        print(f"{count}/{len(jobs)} trainings, about {left:.0f} minutes left", file=sys.stderr, flush=True)
    print(f"{len(done) + len(jobs)} trainings in {args.out}", file=sys.stderr)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status, 2 for a mistake in the arguments."""
    return exit_status(run, argv)


if __name__ == "__main__":
    sys.exit(main())
