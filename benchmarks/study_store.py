"""What studies have searched and trained so far: one line for each, models beside them, test parts sealed.

Studies share a store, so that a search or a training that two of them need is done once. A line and a model
are found by a key, the digest of everything that decides them.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Protocol

import torch
from architecture_table import environment, read_lines, run_jobs
from safetensors.torch import load

from nas_peft.data import ImageDataset, load_dataset
from nas_peft.run.training_inputs import TrainingInputs
from nas_peft.training.training import Training
from nas_peft.training.trainings import run_training, trained_network
from search_spaces import Architecture, InputError
from supernet import (
    Backbone,
    NonFiniteLoss,
    Preprocessing,
    Supernet,
    create_backbone,
    evaluate,
    pooled_features,
    write_atomically,
)

Line = dict[str, Any]


@dataclass
class Bench:
    """What a worker process loads once: the backbone, and each data set when a job first asks for it."""

    backbone: Backbone
    preprocessing: Preprocessing
    folder: Path
    device: str
    _tasks: dict[str, tuple[ImageDataset, TrainingInputs]] = field(default_factory=dict)

    @classmethod
    def load(cls, args: argparse.Namespace, threads: int | None = None) -> Bench:
        """Of a command line with ``backbone``, ``store`` and ``device``."""
        if threads:
            torch.set_num_threads(threads)
        backbone = create_backbone(args.backbone)
        backbone.model.to(args.device)
        return cls(backbone, Preprocessing.of(backbone.model), args.store, args.device)

    def task(self, spec: str) -> tuple[ImageDataset, TrainingInputs]:
        """A data set with its test part sealed, and what trainings on it share."""
        if spec not in self._tasks:
            data = load_dataset(spec, to_tensor=self.preprocessing.to_tensor)
            probe = Supernet(self.backbone.model, Architecture.empty(self.backbone.depth), len(data.classes))
            features = pooled_features(probe, data.train_val.images, self.preprocessing).cpu()
            inputs = TrainingInputs(
                self.backbone, self.preprocessing, len(data.classes), data.train, data.val, features
            )
            self._tasks[spec] = (data, inputs)
        return self._tasks[spec]

    def model_file(self, key: str) -> Path:
        """Where the tensors of a model are."""
        return self.folder / "models" / f"{key}.safetensors"

    def save_model(self, key: str, tensors: bytes) -> None:
        """Keep a model for the reading of the test part."""
        self.model_file(key).parent.mkdir(parents=True, exist_ok=True)
        write_atomically(self.model_file(key), tensors)

    def run(self, job: Job) -> Line:
        """The line of a job."""
        return {"kind": job.kind, "key": job.key} | job.run(self)


class Job(Protocol):
    """A search, a training, or the reading of a test part."""

    @property
    def kind(self) -> str:
        """What it is, in words for progress and lines."""
        ...

    @property
    def key(self) -> str:
        """The digest of everything that decides its line."""
        ...

    def run(self, bench: Bench) -> Line:
        """Its line, JSON-able."""
        ...


def digest(content: Any) -> str:
    """Of JSON-able content."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class TrainingJob:
    """One separate training; the tensors of a final model, and of what says so, are kept."""

    task: str
    training: Training
    kind: str = "training"

    @property
    def key(self) -> str:
        """See `Job`."""
        described = self.training.to_dict()
        if described["init_seed"] is None:  # the seed's own, as before there was such a field
            del described["init_seed"]
        return digest(["training", task_name(self.task), described])

    def run(self, bench: Bench) -> Line:
        """Train; a loss that overflows is a result too: the line says so and has no scores."""
        _, inputs = bench.task(self.task)
        line: Line = {"task": task_name(self.task), "training": self.training.to_dict()}
        try:
            record, tensors = run_training(self.training, inputs, bench.device)
        except NonFiniteLoss as error:
            return line | {"diverged": str(error), "val": None, "image_passes": 0}
        if tensors:  # of a final model, or of one to keep
            bench.save_model(self.key, tensors)
        assert record.curve is not None  # a training that raised nothing
        return line | {
            "diverged": None,
            "val": record.val._asdict() if record.val else None,
            "image_passes": record.curve.image_passes,
            "seconds": round(record.curve.seconds, 2),
            "last_loss": record.curve.losses[-1],
        }


@dataclass(frozen=True)
class TestJob:
    """Reads the test part of one task, once, after everything is chosen.

    ``models`` are the key and the training of each model; ``study`` names whose reading it is, and ``opened``
    is its file: the decision is in it before the part is read.
    """

    __test__ = False  # no test of pytest's
    study: str
    task: str
    models: tuple[tuple[str, Training], ...]
    kind: str = "test"

    @property
    def key(self) -> str:
        """See `Job`."""
        return digest(["test", self.study, task_name(self.task)])

    @property
    def decision(self) -> str:
        """The digest of all tested models."""
        return digest([key for key, _ in self.models])

    def run(self, bench: Bench) -> Line:
        """Evaluate all models. Raises `InputError` if the part was opened for other ones."""
        freeze(bench.folder / "opened" / f"{self.study}.{task_name(self.task)}.json", self.decision)
        data, inputs = bench.task(self.task)
        del bench._tasks[self.task]  # a data set is opened once
        test = data.test.open(self.decision)
        found = {}
        for key, training in self.models:
            tensors = load(bench.model_file(key).read_bytes())
            network = trained_network(training, tensors, inputs, bench.device)
            scores = evaluate(network, test.images, test.labels, preprocessing=bench.preprocessing)
            found[key] = {"accuracy": scores.accuracy, "loss": scores.loss}
        name = task_name(self.task)
        return {
            "study": self.study,
            "task": name,
            "decision": self.decision,
            "images": len(test),
            "of": found,
        }


def freeze(path: Path, decision: str) -> None:
    """Write down what is decided before a test part is read.

    Raises `InputError` where the file has another decision: a second reading would be a choice by test
    accuracy.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        now = datetime.now(timezone.utc).isoformat(timespec="seconds")
        write_atomically(path, json.dumps({"opened_at": now, "decision": decision}).encode())
    elif (found := json.loads(path.read_text(encoding="utf-8")))["decision"] != decision:
        raise InputError(
            f"the test part was opened at {found['opened_at']} for other models ('{path}'); a test part is "
            "read once: give another --store for a new study"
        )


def task_name(spec: str) -> str:
    """What lines call a data set."""
    return Path(spec).name


class Store:
    """The lines of a folder; only this process appends to them."""

    def __init__(self, args: argparse.Namespace, bench: Bench) -> None:
        """Raises `InputError` for a store of another backbone."""
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
        write_atomically(self._file, "".join(json.dumps(line) + "\n" for line in lines).encode())
        self._lines = {line["key"]: line for line in lines}

    def __contains__(self, job: Job) -> bool:
        return job.key in self._lines

    def __getitem__(self, job: Job) -> Line:
        return self._lines[job.key]

    def run(self, jobs: Iterable[Job], what: str) -> None:
        """Do what is missing of ``jobs``, each once, and append its line as it ends."""
        missing = list({job.key: job for job in jobs if job not in self}.values())
        started = time.perf_counter()
        for count, line in enumerate(run_jobs(missing, self._args, self._bench), 1):
            with self._file.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
            self._lines[line["key"]] = line
            left = (time.perf_counter() - started) / count * (len(missing) - count) / 60
            print(
                f"{what}: {count}/{len(missing)}, about {left:.0f} minutes left", file=sys.stderr, flush=True
            )

    def val_key(self, job: TrainingJob) -> tuple[float, float]:
        """Sorts better trainings first: higher validation accuracy, then lower loss; diverged ones last."""
        val: Mapping[str, float] | None = self[job]["val"]
        return (-val["accuracy"], val["loss"]) if val else (float("inf"), float("inf"))

    def loss_key(self, job: TrainingJob) -> tuple[float, float]:
        """Sorts better trainings first: lower validation loss, then higher accuracy; diverged ones last."""
        val: Mapping[str, float] | None = self[job]["val"]
        return (val["loss"], -val["accuracy"]) if val else (float("inf"), float("inf"))


def add_store_options(parser: argparse.ArgumentParser) -> None:
    """The options that all studies of a store have."""
    add = parser.add_argument
    add("--task", action="append", help="data set: a folder or a name; repeat for more (digits)")
    add("--backbone", default="vit_micro_patch8_32", help="timm name (%(default)s)")
    add("--store", type=Path, default=Path("runs/studies"), help="folder of lines and models (%(default)s)")
    add("--workers", type=int, default=1, help="processes that share the cores (%(default)s)")
    add("--device", default="cuda" if torch.cuda.is_available() else "cpu", help="(%(default)s)")


def best_training(store: Store, jobs: Sequence[TrainingJob]) -> TrainingJob:
    """The highest validation accuracy, then the lowest loss."""
    return min(jobs, key=store.val_key)


def lowest_loss(store: Store, jobs: Sequence[TrainingJob]) -> TrainingJob:
    """As the tool chooses: the lowest validation loss, then the highest accuracy."""
    return min(jobs, key=store.loss_key)


def mean_and_error(values: Sequence[float]) -> tuple[float, float]:
    """Mean and its standard error; NaN for one value."""
    n = len(values)
    mean = sum(values) / n
    if n < 2:
        return mean, float("nan")
    return mean, (sum((v - mean) ** 2 for v in values) / (n - 1) / n) ** 0.5


def write_result(path: Path, content: Mapping[str, Any], say: Callable[[str], None] = print) -> None:
    """Write a study's result as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, (json.dumps(content, indent=1) + "\n").encode())
    say(f"written to {path}")


__all__ = [
    "Bench",
    "Job",
    "Line",
    "Store",
    "TestJob",
    "TrainingJob",
    "add_store_options",
    "best_training",
    "digest",
    "lowest_loss",
    "mean_and_error",
    "task_name",
    "write_result",
]
