"""Supernets of the study of choosers: training, scoring, and an estimate of the time they take."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from benchmarks.chooser_study.ways import WAYS, Samplers
from benchmarks.harness.finished_table import SCORES, FinishedTable
from benchmarks.harness.judged_architectures import SPACE
from benchmarks.harness.opened_task import OpenedTask, load_tasks
from benchmarks.harness.recipes import HEAD, LR
from nas_peft.training.trainings import probe_head
from search_spaces import InputError, load_space
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
)

TRAINING_SECONDS: Mapping[str, float] = {
    "one-path": 1.2,
    "sandwich": 1.2,
    "one-per-image": 2.4,
    "groups": 2.4,
}
"""First estimate for 1,000 image passes of the shipped backbone on two cores, by prefix of the chooser."""
SCORING_SECONDS = 0.5
"""First estimate for 1,000 scored images, on the same machine."""
SCORING_BATCH = 128
"""Images of a scoring pass; 256 were a quarter slower, as activations no longer fit a core's cache."""


@dataclass(frozen=True)
class ChooserJob:
    """One supernet; ``epochs`` is the number of image passes for each training image."""

    task: str
    chooser: str
    epochs: int
    seed: int
    scoring_precision: Precision

    @property
    def key(self) -> tuple[str, str, int, int]:
        """Task, chooser, epochs and seed, which identify the line."""
        return (self.task, self.chooser, self.epochs, self.seed)


@dataclass(frozen=True)
class ChooserStudy:
    """Backbone, data sets, samplers and table, which a worker process loads once."""

    backbone: Backbone
    preprocessing: Preprocessing
    tasks: dict[str, OpenedTask]
    samplers: Samplers
    table: FinishedTable

    @classmethod
    def load(cls, args: argparse.Namespace, threads: int | None = None) -> ChooserStudy:
        """Load what the command line names. Raises `InputError`."""
        if threads:
            torch.set_num_threads(threads)
        table = FinishedTable.read(args.table)
        backbone = create_backbone(table.results["backbone"]["name"])
        backbone.model.to(args.device)
        preprocessing = Preprocessing.of(backbone.model)
        samplers = Samplers.of(load_space(SPACE, backbone.depth), backbone.shape, backbone.params)
        return cls(backbone, preprocessing, load_tasks(args.task, backbone, preprocessing), samplers, table)

    def require_same_table(self) -> None:
        """Raise `InputError` unless the table has these tasks, with the same data and backbone."""
        for name, task in self.tasks.items():
            self.table.columns(name)
            if self.table.results["tasks"][name] != task.fingerprint:
                raise InputError(
                    f"the data of '{name}' are not those of the table '{self.table.path}'; "
                    "give the same data, or make a table of these"
                )
        if self.table.results["backbone"]["digest"] != self.backbone.digest:
            raise InputError(
                f"the weights of '{self.backbone.name}' are not those of the table '{self.table.path}'; "
                "make a table with these weights"
            )

    def setup(self) -> dict[str, Any]:
        """Setup that decides every line, JSON-able."""
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

    def run(self, job: ChooserJob) -> dict[str, Any]:
        """Train one supernet and score the table's architectures; returns the line of the study.

        A training whose loss overflows is a result too: the line names the error and has no scores.
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

    def _scores(self, network: Supernet, task: OpenedTask, precision: Precision) -> dict[str, list[float]]:
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
    job: ChooserJob, task: OpenedTask, architectures: int, lines: Sequence[Mapping[str, Any]], workers: int
) -> float:
    """Estimate of the seconds that a job takes one of ``workers`` processes.

    It goes by the measured speed of the same chooser and task in ``lines``, else by the first estimates.
    """
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
