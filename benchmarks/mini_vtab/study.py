"""Searches and trainings of the small VTAB, in the order in which one decides the next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from benchmarks.harness.bench import Bench
from benchmarks.harness.jobs import TestJob, TrainingJob
from benchmarks.harness.recipes import HEAD
from benchmarks.harness.search_job import SearchJob, best_of, mixed_of, subnet_training
from benchmarks.harness.search_plan import SearchPlan
from benchmarks.harness.store import Store
from benchmarks.mini_vtab.methods import (
    BASELINES,
    BUDGET,
    LINEAR_EPOCHS,
    LINEAR_RATES,
    MODULE_RATES,
    NOAH_EPOCHS,
    POSITIONS,
    POSITIONS_RANK,
    PROJECTIONS,
    PROJECTIONS_RANK,
    RATES,
    SHALLOW_TOKENS,
    SINGLES,
)
from nas_peft.settings.methods import METHODS, Method
from nas_peft.training.training import Training
from search_spaces import Architecture, count_params
from supernet import Recipe, biases

On = Literal["train", "train_val"]
"""Part that a training is on; final models are on both."""


@dataclass(frozen=True)
class Setting:
    """Everything that decides the comparison but the tasks."""

    epochs: int
    supernet_epochs: tuple[int, ...]
    seeds: int

    @property
    def plan(self) -> SearchPlan:
        """Search of ``nas-peft search`` in a larger space and budget: longer, supernet epochs chosen."""
        return SearchPlan(
            space="large",
            budget=BUDGET,
            supernet_epochs=self.supernet_epochs,
            generations=24,
            population=24,
        )

    @property
    def noah(self) -> SearchPlan:
        """NOAH as published: own space, one uniform path a step, no racing, 15 generations and the first."""
        return SearchPlan(
            ways=("noah",),
            space="noah-vtab",
            budget=BUDGET,
            chooser="one-path",
            trained="space",
            supernet_epochs=NOAH_EPOCHS * self.epochs,
            generations=16,
            population=50,
        )


class MiniVtab:
    """Jobs of the comparison; methods that choose need the lines of the jobs they choose between."""

    def __init__(self, tasks: Sequence[str], setting: Setting, store: Store, bench: Bench) -> None:
        self.tasks, self.setting, self.store = list(tasks), setting, store
        self.shape = bench.backbone.shape
        self.backbone_params = bench.backbone.params
        self.bias_params = sum(bias.numel() for bias in biases(bench.backbone.model).values())
        depth = bench.backbone.depth
        self.empty = Architecture.empty(depth)
        shallow = {"shallow_prompt_tokens": [SHALLOW_TOKENS] + [0] * (depth - 1)}
        everywhere = {kind: [PROJECTIONS_RANK] * depth for kind in PROJECTIONS}
        positions = {POSITIONS: [POSITIONS_RANK] + [0] * (depth - 1)}
        self.singles = {
            name: [Architecture.uniform(depth, kind, size) for size in sizes]
            for name, (kind, sizes) in SINGLES.items()
        }
        self.alone = {
            "VPT-shallow": [Architecture.of(depth, shallow)],
            **self.singles,
            "LoRA on all projections": [Architecture.of(depth, everywhere)],
            "LoRA there and on positions": [Architecture.of(depth, everywhere | positions)],
        }

    # -- trainings -----------------------------------------------------------------------------------------

    def subnet(self, task: str, a: Architecture, lr: float, seed: int, on: On) -> TrainingJob:
        """Training of a subnet at a learning rate."""
        return TrainingJob(task, subnet_training(a, Recipe(self.setting.epochs, lr), seed, on))

    def baseline(self, task: str, method: Method, rate: float, seed: int, on: On) -> TrainingJob:
        """Training of a baseline at a learning rate."""
        info = METHODS[method]
        epochs = LINEAR_EPOCHS if method == "linear" else self.setting.epochs
        recipe = Recipe(epochs, rate, weight_decay=info.weight_decay)
        head = {"briefly": HEAD, "not": None, "probe": None}[info.head]
        if info.head == "probe":
            head = self.linear(task, 0, "train").training.recipe
        return TrainingJob(task, Training(method, method, self.empty, recipe, head, seed, on))

    def linear(self, task: str, seed: int, on: On) -> TrainingJob:
        """Linear probing at the rate with the lowest validation loss."""
        tried = [self.baseline(task, "linear", rate, 0, "train") for rate in LINEAR_RATES]
        best = min(tried, key=lambda job: self.store[job]["val"]["loss"])
        return self.baseline(task, "linear", best.training.recipe.lr, seed, on)

    def rates(self, task: str, method: Method) -> list[TrainingJob]:
        """Trainings of a baseline, one for each rate of its grid."""
        return [self.baseline(task, method, lr, 0, "train") for lr in RATES[method]]

    def subnet_rates(self, task: str, a: Architecture) -> list[TrainingJob]:
        """Trainings of a subnet, one for each rate of `MODULE_RATES`."""
        return [self.subnet(task, a, lr, 0, "train") for lr in MODULE_RATES]

    def sizes(self, task: str, name: str) -> list[TrainingJob]:
        """Trainings of a single method at the middle rate, one for each of its sizes."""
        return [self.subnet_rates(task, a)[len(MODULE_RATES) // 2] for a in self.alone[name]]

    def sized(self, task: str, name: str) -> Architecture:
        """Single method at the size that is best on validation data."""
        return self.store.lowest_loss(self.sizes(task, name)).training.architecture

    # -- searches ------------------------------------------------------------------------------------------

    def search(self, task: str) -> SearchJob:
        """Search by evolution, as ``nas-peft search`` does it."""
        return SearchJob(task, self.setting.plan, 0)

    def noah_search(self, task: str) -> SearchJob:
        """Search by NOAH."""
        return SearchJob(task, self.setting.noah, 0)

    def found(self, task: str) -> list[Architecture]:
        """Best subnets of the search, without single methods of one size."""
        return mixed_of(self.store[self.search(task)]["found"]["evolution"])

    def noah(self, task: str) -> Architecture:
        """Best subnet of the search by NOAH."""
        return best_of(self.store[self.noah_search(task)]["found"]["noah"])[0]

    def single(self, task: str, name: str) -> TrainingJob:
        """Single method at its best size and rate."""
        return self.store.lowest_loss(self.subnet_rates(task, self.sized(task, name)))

    def searched(self, task: str) -> TrainingJob:
        """Best on validation data of the search's best subnets at every rate."""
        jobs = [job for a in self.found(task) for job in self.subnet_rates(task, a)]
        return self.store.lowest_loss(jobs)

    def selected(self, task: str) -> tuple[str, TrainingJob]:
        """Name and training that ``nas-peft search`` would export: the searched subnet or a single method."""
        rivals = {"searched": self.searched(task)}
        rivals |= {name: self.single(task, name) for name in self.singles}
        best = self.store.lowest_loss(list(rivals.values()))
        return next((name, job) for name, job in rivals.items() if job is best)

    def finals(self, task: str, seed: int) -> dict[str, TrainingJob]:
        """Training of the final model of each method, by the method's label."""
        found = {}
        for label, method in BASELINES.items():
            if method == "linear":
                found[label] = self.linear(task, seed, "train_val")
            else:
                rate = self.store.lowest_loss(self.rates(task, method)).training.recipe.lr
                found[label] = self.baseline(task, method, rate, seed, "train_val")
        chosen = {name: self.single(task, name) for name in self.alone}
        chosen["NOAH"] = self.store.lowest_loss(self.subnet_rates(task, self.noah(task)))
        chosen["searched"] = self.searched(task)
        chosen["selected"] = self.selected(task)[1]
        return found | {
            name: TrainingJob(task, replace(job.training, seed=seed, on="train_val"))
            for name, job in chosen.items()
        }

    def test(self, task: str) -> TestJob:
        """Reading of a task's test part by all its final models."""
        jobs = [job for seed in range(self.setting.seeds) for job in self.finals(task, seed).values()]
        return TestJob("mini_vtab", task, tuple({job.key: job.training for job in jobs}.items()))

    def params(self, job: TrainingJob) -> int:
        """Number of trained parameters without the head."""
        trains = METHODS[job.training.method].trains
        if trains == "all":
            return self.backbone_params
        if trains == "biases":
            return self.bias_params
        return count_params(job.training.architecture, self.shape)

    # -- everything ----------------------------------------------------------------------------------------

    def run(self) -> None:
        """Run every missing job; the test parts are read last."""
        tasks, seeds, run = self.tasks, range(self.setting.seeds), self.store.run
        run([*(self.search(t) for t in tasks), *(self.noah_search(t) for t in tasks)], "searches")
        linear = [self.baseline(t, "linear", lr, 0, "train") for t in tasks for lr in LINEAR_RATES]
        run(linear, "linear probing")
        methods = [m for m in BASELINES.values() if m != "linear"]
        run([job for t in tasks for name in self.alone for job in self.sizes(t, name)], "sizes")
        rates = [job for t in tasks for m in methods for job in self.rates(t, m)]
        subnets = [
            job
            for t in tasks
            for a in (*(self.sized(t, name) for name in self.alone), self.noah(t), *self.found(t))
            for job in self.subnet_rates(t, a)
        ]
        run([*rates, *subnets], "learning rates")
        run([job for s in seeds for t in tasks for job in self.finals(t, s).values()], "final models")
        run([self.test(t) for t in tasks], "test parts")
