"""Jobs of the stores: separate trainings, and the one reading of a task's test set."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from safetensors.torch import load

from benchmarks.harness.bench import Bench, Line
from benchmarks.harness.keys import digest, task_name
from nas_peft.training.training import Training
from nas_peft.training.trainings import run_training, trained_network
from search_spaces import InputError
from supernet import NonFiniteLoss, evaluate, write_atomically


@dataclass(frozen=True)
class TrainingJob:
    """One separate training; tensors are kept for final models and for trainings with ``keep``."""

    task: str
    training: Training
    kind: str = "training"

    @property
    def key(self) -> str:
        """Digest of the task's name and the training."""
        described = self.training.to_dict()
        if described["init_seed"] is None:  # keys are those of lines written before the field existed
            del described["init_seed"]
        return digest(["training", task_name(self.task), described])

    def run(self, bench: Bench) -> Line:
        """Train. A loss that overflows is a result too: the line names the error and has no scores."""
        _, inputs = bench.task(self.task)
        line: Line = {"task": task_name(self.task), "training": self.training.to_dict()}
        try:
            record, tensors = run_training(self.training, inputs, bench.device)
        except NonFiniteLoss as error:
            return line | {"diverged": str(error), "val": None, "image_passes": 0}
        if tensors:
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
    """One reading of a task's test part, after everything has been chosen.

    Attributes:
        study: name of the study that reads; each study may read a test part once.
        task: data set.
        models: key and training of each evaluated model.
    """

    __test__ = False  # not a test class of pytest
    study: str
    task: str
    models: tuple[tuple[str, Training], ...]
    kind: str = "test"

    @property
    def key(self) -> str:
        """Digest of study and task: a second reading has the same key."""
        return digest(["test", self.study, task_name(self.task)])

    @property
    def decision(self) -> str:
        """Digest of all evaluated models."""
        return digest([key for key, _ in self.models])

    def run(self, bench: Bench) -> Line:
        """Evaluate all models on the test part.

        The decision is written to the folder ``opened`` of the store first. Raises `InputError` if the part
        was opened for other models.
        """
        freeze(opened_file(bench, self.study, self.task), self.decision)
        test, inputs = bench.open_test(self.task, self.decision)
        found = {}
        for key, training in self.models:
            tensors = load(bench.model_file(key).read_bytes())
            network = trained_network(training, tensors, inputs, bench.device)
            scores = evaluate(network, test.images, test.labels, preprocessing=bench.preprocessing)
            found[key] = {"accuracy": scores.accuracy, "loss": scores.loss}
        return {
            "study": self.study,
            "task": task_name(self.task),
            "decision": self.decision,
            "images": len(test),
            "of": found,
        }


def opened_file(bench: Bench, study: str, task: str) -> Path:
    """The file in which a study writes its decision before it reads the test part of a task."""
    return bench.folder / "opened" / f"{study}.{task_name(task)}.json"


def freeze(path: Path, decision: str) -> None:
    """Write down a decision before a test part is read.

    Raises `InputError` if the file has another decision: a second reading would be a choice by test accuracy.
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
