"""Which way of training a supernet ranks subnets, and how good its inherited weights are.

::

    python benchmarks/chooser_study.py --task digits --task FOLDER --workers 2
    python benchmarks/chooser_study.py --report

One supernet for each way of choosing architectures (``--chooser``, see `studied_choosers.WAYS`), each
number of epochs, task and seed, on the training part: as in ``nas-peft search`` its capacity is the largest
architecture of the space, the head is first trained alone (20 epochs at 3e-3 on cached features), then
modules and head with AdamW at a peak learning rate of 5e-3, batches of 64, weight decay 1e-4, cosine decay
after 10% warm-up, no augmentation. All ways start from the same weights and see the images in the same
order.

**Equal cost is equal image passes**: ``--epochs 30`` are 30 passes of the training part through the
backbone for every way, so a sandwich of three passes a step runs 10 epochs (rounded; the lines have the
passes).

Each supernet then scores every architecture of the table (``--table``, from ``architecture_table.py``) with
inherited weights on the validation part and on the test part. **The test columns are for judging
afterwards, never for choosing anything.** ``--scoring-precision bf16`` scores 1.5 times faster; a line says
how it was scored.

One JSON line per supernet is appended to ``--out`` as it ends, few epochs first; a second run of the same
command does what is missing. What all lines share stands beside it in a ``.json`` file, and a run whose
setup differs is refused. ``--report`` trains nothing: it compares the scores in ``--out`` with the table
(see `chooser_report`), prints, and writes ``--out`` with the suffix ``.report.json``.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import torch
from architecture_table import (
    HEAD,
    LR,
    RESULTS,
    SPACE,
    Task,
    environment,
    lines_to_go_on_with,
    load_tasks,
    read_lines,
    run_jobs,
)
from chooser_report import report_on
from chooser_tables import print_report
from exit_status import exit_status
from finished_table import SCORES, FinishedTable
from studied_choosers import WAYS, Samplers

from nas_peft.training.trainings import probe_head
from search_spaces import InputError, load_space, unknown_name
from search_spaces.streams import stream_seed
from supernet import (
    Backbone,
    NonFiniteLoss,
    Precision,
    Preprocessing,
    Recipe,
    Supernet,
    create_backbone,
    evaluate,
    train,
    write_atomically,
)

OUT = RESULTS.with_name("chooser_study.jsonl")
EPOCHS = (10, 30, 100)
TRAINING_SECONDS: Mapping[str, float] = {
    "one-path": 1.2,
    "sandwich": 1.2,
    "one-per-image": 2.4,
    "groups": 2.4,
}
"""Of 1,000 image passes of the shipped backbone on two cores, by how a name begins: a first estimate."""
SCORING_SECONDS = 0.5
"""The same for 1,000 scored images."""
SCORING_BATCH = 128
"""Activations of more images do not stay in a core's cache: 256 were a quarter slower."""


@dataclass(frozen=True)
class Job:
    """One supernet; ``epochs`` are those of a way with one pass a step."""

    task: str
    chooser: str
    epochs: int
    seed: int
    scoring_precision: Precision

    @property
    def key(self) -> tuple[str, str, int, int]:
        """What tells it apart in the file."""
        return (self.task, self.chooser, self.epochs, self.seed)


@dataclass(frozen=True)
class Study:
    """What a worker process loads once."""

    backbone: Backbone
    preprocessing: Preprocessing
    tasks: dict[str, Task]
    samplers: Samplers
    table: FinishedTable

    @classmethod
    def load(cls, args: argparse.Namespace, threads: int | None = None) -> Study:
        """Backbone, data sets and table of the command line. Raises `InputError`."""
        if threads:
            torch.set_num_threads(threads)
        table = FinishedTable.read(args.table)
        backbone = create_backbone(table.results["backbone"]["name"])
        backbone.model.to(args.device)
        preprocessing = Preprocessing.of(backbone.model)
        samplers = Samplers.of(load_space(SPACE, backbone.depth), backbone.shape, backbone.params)
        return cls(backbone, preprocessing, load_tasks(args.task, backbone, preprocessing), samplers, table)

    def require_the_tables(self) -> None:
        """Raise `InputError` unless backbone and data are those of the table, and the tasks are in it."""
        for name, task in self.tasks.items():
            self.table.columns(name)
            if self.table.results["tasks"][name] != task.fingerprint:
                raise InputError(f"the data of '{name}' are not those of the table '{self.table.path}'")
        if self.table.results["backbone"]["digest"] != self.backbone.digest:
            raise InputError(
                f"the weights of '{self.backbone.name}' are not those of the table '{self.table.path}'"
            )

    def setup(self) -> dict[str, Any]:
        """What decides every line."""
        recipe = {key: value for key, value in Recipe(1, LR).to_dict().items() if key != "epochs"}
        return {
            "table": self.table.results,
            "architectures": [
                {"group": entry.group, "params": params, **entry.architecture.to_dict()}
                for entry, params in zip(self.table.entries, self.table.params, strict=True)
            ],
            "space": SPACE,
            "recipe": recipe,
            "head": HEAD.to_dict(),
            **self.samplers.to_record(),
        }

    def run(self, job: Job) -> dict[str, Any]:
        """Train one supernet and score the table's architectures; the line of the study.

        A training whose loss overflows is a result too: its line says so and has no scores.
        """
        task, way = self.tasks[job.task], WAYS[job.chooser]
        recipe = Recipe(way.epochs(job.epochs), LR)
        line: dict[str, Any] = {"task": job.task, "chooser": job.chooser, "epochs": job.epochs}
        line |= {"seed": job.seed, "trained_epochs": recipe.epochs}
        line |= {"scoring_precision": job.scoring_precision}
        started = time.perf_counter()
        seed = stream_seed(job.seed, "chooser study", job.task)
        capacity = self.samplers.space.largest()
        network = Supernet(self.backbone.model, capacity, task.classes, seed=seed)
        probe_head(network, task.train.labels, task.features, self.preprocessing, HEAD, seed)
        try:
            curve = train(
                network,
                task.train.images,
                task.train.labels,
                preprocessing=self.preprocessing,
                chooser=way.chooser(self.samplers),
                recipe=recipe,
                seed=seed,
            )
        except NonFiniteLoss as error:
            return line | {"image_passes": 0, "diverged": str(error), "scores": None}
        line |= {"image_passes": curve.image_passes, "seconds": round(time.perf_counter() - started, 2)}
        line |= {"last_loss": curve.losses[-1], "diverged": None}
        started = time.perf_counter()
        scores = self._scores(network, task, job.scoring_precision)
        return line | {"scoring_seconds": round(time.perf_counter() - started, 2), "scores": scores}

    def _scores(self, network: Supernet, task: Task, precision: Precision) -> dict[str, list[float]]:
        scores: dict[str, list[float]] = {score: [] for score in SCORES}
        for entry in self.table.entries:
            for name, part in (("val", task.val), ("test", task.test)):
                found = evaluate(
                    network,
                    part.images,
                    part.labels,
                    preprocessing=self.preprocessing,
                    architecture=entry.architecture,
                    batch_size=SCORING_BATCH,
                    precision=precision,
                )
                scores[f"{name}_accuracy"].append(found.accuracy)
                scores[f"{name}_loss"].append(found.loss)
        return scores


def seconds_of(
    job: Job, task: Task, architectures: int, lines: Sequence[Mapping[str, Any]], workers: int
) -> float:
    """How long one process will take for a job: by its way's measured speed, or by `TRAINING_SECONDS`."""
    passes = WAYS[job.chooser].epochs(job.epochs) * WAYS[job.chooser].passes * len(task.train)
    measured = [line for line in lines if line["chooser"] == job.chooser and line["scores"]]
    if measured:
        training = _total(measured, "seconds") / _total(measured, "image_passes")
    else:
        guesses = (s for name, s in TRAINING_SECONDS.items() if job.chooser.startswith(name))
        training = next(guesses) * workers / 1000
    scored = architectures * (len(task.val) + len(task.test))
    same_task = [line for line in lines if line["task"] == job.task and line["scores"]]
    if same_task:
        scoring = _total(same_task, "scoring_seconds") / len(same_task)
    else:
        scoring = scored * SCORING_SECONDS * workers / 1000
    return training * passes + scoring


def _total(lines: Iterable[Mapping[str, Any]], key: str) -> float:
    return float(sum(line[key] for line in lines))


def run_study(args: argparse.Namespace) -> None:
    """Train and score what is missing. Raises `InputError`."""
    study = Study.load(args)
    study.require_the_tables()
    lines = lines_to_go_on_with(args.out, {"results": study.setup(), **environment(args)})
    done = {(line["task"], line["chooser"], line["epochs"], line["seed"]) for line in lines}
    jobs = [
        Job(task, chooser, epochs, seed, args.scoring_precision)
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
        with args.out.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        lines.append(line)
        del missing[(line["task"], line["chooser"], line["epochs"], line["seed"])]
        what = f"{line['task']}, {line['chooser']}, {line['epochs']} epochs"
        left = f"{len(missing)} left, about {minutes_left():.0f} minutes"
        print(f"{what}: {line['diverged'] or 'done'}; {left}", file=sys.stderr, flush=True)


def write_report(args: argparse.Namespace) -> None:
    """Compare what is there with the table; print and write. Raises `InputError`."""
    lines = read_lines(args.out)
    setup_file = args.out.with_suffix(".json")
    if not (lines and setup_file.exists()):
        raise InputError(f"no study at '{args.out}'; run this without --report first")
    setup = json.loads(setup_file.read_text(encoding="utf-8"))
    report = report_on(FinishedTable.read(args.table), lines, setup)
    print_report(report)
    path = args.out.with_suffix(".report.json")
    write_atomically(path, (json.dumps(report, indent=2) + "\n").encode())
    print(f"written to {path}", file=sys.stderr)


def run(argv: Sequence[str] | None) -> None:
    """Do what the command line asks for. Raises `InputError`."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    add = parser.add_argument
    add("--table", type=Path, default=RESULTS, help="lines of architecture_table.py (%(default)s)")
    add("--out", type=Path, default=OUT, help="JSON lines file (%(default)s)")
    add("--report", action="store_true", help="train nothing; compare what is in --out with the table")
    study = parser.add_argument_group("training (not with --report)")
    add = study.add_argument
    add("--task", action="append", help="data set of the table: a folder or a name; repeat for more (digits)")
    add("--chooser", action="append", help=f"repeat for more ({', '.join(WAYS)})")
    add("--epochs", action="append", type=int, help="repeat for more (10, 30 and 100)")
    add("--seeds", type=int, help="supernets of each kind (1)")
    add("--scoring-precision", choices=get_args(Precision), help="of the scoring, not the training (fp32)")
    add("--workers", type=int, help="processes that share the cores (1)")
    add("--device", help="(cuda where there is one)")
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
    args.seeds = 1 if args.seeds is None else args.seeds
    args.workers = 1 if args.workers is None else args.workers
    args.scoring_precision = args.scoring_precision or "fp32"
    args.device = args.device or ("cuda" if torch.cuda.is_available() else "cpu")
    for chooser in args.chooser:
        if chooser not in WAYS:
            raise unknown_name("chooser", chooser, WAYS)
    for name in ("epochs", "seeds", "workers"):
        value = getattr(args, name)
        if min(value if isinstance(value, list) else [value]) < 1:
            raise InputError(f"--{name} is less than 1; give a whole number from 1")
    run_study(args)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status, 2 for a mistake in what was given."""
    return exit_status(run, argv)


if __name__ == "__main__":
    sys.exit(main())
