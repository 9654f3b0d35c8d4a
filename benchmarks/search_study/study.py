"""Searches and trainings of the study of the search, in the order in which one decides the next."""

from __future__ import annotations

import argparse
import itertools
from dataclasses import replace

from benchmarks.harness.bench import Bench
from benchmarks.harness.finished_table import FinishedTable
from benchmarks.harness.jobs import TestJob, TrainingJob
from benchmarks.harness.recipes import LR
from benchmarks.harness.search_job import SearchJob, best_of, subnet_training
from benchmarks.harness.search_plan import Range, SearchPlan
from benchmarks.harness.store import Store
from search_spaces import Architecture, count_params
from supernet import Recipe

DEFAULT = SearchPlan(ways=("evolution", "random", "evolution-whole"))
NOAH = SearchPlan(ways=("noah",), space="noah-vtab", chooser="one-path", trained="space")
LONG_EPOCHS, LONG_GENERATIONS = 10, 2
"""Epochs and generations of the long search, as multiples of the default search."""
UNIFORM = 3
"""Number of uniform mixes that are retrained."""


def uniform_mixes(where: Range) -> list[Architecture]:
    """Mixes of all kinds in every layer with one size of each: the `UNIFORM` largest within the budget."""
    space = where.space
    kinds = [(kind, choices.positive) for kind, choices in space.kinds]
    mixes = [
        Architecture.of(
            space.depth, {kind: [size] * space.depth for (kind, _), size in zip(kinds, sizes, strict=True)}
        )
        for sizes in itertools.product(*(sizes for _, sizes in kinds))
    ]
    fitting = [a for a in mixes if where.fits(a)]
    return sorted(fitting, key=lambda a: count_params(a, where.shape))[-UNIFORM:]


class SearchStudy:
    """Jobs of the study; methods that choose need the lines of the jobs they choose between."""

    def __init__(
        self, args: argparse.Namespace, store: Store, bench: Bench, table: FinishedTable | None
    ) -> None:
        self.tasks: list[str] = args.task
        self.seeds = range(args.seeds)
        self.long_seeds = range(min(args.seeds, args.long_seeds))
        self.store = store
        self.recipe = Recipe(args.epochs, LR)
        default = replace(DEFAULT, supernet_epochs=args.supernet_epochs)
        self.plans = {
            "default": default,
            "noah": replace(NOAH, supernet_epochs=args.supernet_epochs),
            "long": replace(
                default,
                ways=("evolution",),
                supernet_epochs=LONG_EPOCHS * args.supernet_epochs,
                generations=LONG_GENERATIONS * default.generations,
            ),
        }
        self.table, self.shape = table, bench.backbone.shape
        self.mixes = uniform_mixes(Range.of(default, bench.backbone.shape, bench.backbone.params))

    def search(self, task: str, name: str, seed: int) -> SearchJob:
        """One supernet with its searches; ``name`` is a key of `plans`."""
        return SearchJob(task, self.plans[name], seed)

    def searches(self) -> list[SearchJob]:
        """Searches of all tasks and seeds."""
        return [self.search(t, name, s) for s in self.seeds for name in self.names(s) for t in self.tasks]

    def names(self, seed: int) -> list[str]:
        """Names of the searches that a seed has."""
        return [name for name in self.plans if name != "long" or seed in self.long_seeds]

    def candidates(self, task: str, seed: int) -> dict[str, list[Architecture]]:
        """Subnets that each contestant retrains."""
        found = self.store[self.search(task, "default", seed)]["found"]
        candidates = {
            "evolution": best_of(found["evolution"]),
            "evolution-whole": best_of(found["evolution-whole"]),
            "random": best_of(found["random"]),
            "noah": best_of(self.store[self.search(task, "noah", seed)]["found"]["noah"])[:1],
            "uniform": self.mixes,
        }
        if seed in self.long_seeds:
            candidates["long"] = best_of(self.store[self.search(task, "long", seed)]["found"]["evolution"])
        return candidates

    def retrained(self, task: str, seed: int, architecture: Architecture) -> TrainingJob:
        """Training of a subnet from scratch on the training part."""
        return TrainingJob(task, subnet_training(architecture, self.recipe, seed, "train"))

    def final(self, task: str, seed: int, method: str) -> TrainingJob:
        """Final model of a contestant: its best retrained subnet, trained on training and validation part."""
        jobs = [self.retrained(task, seed, a) for a in self.candidates(task, seed)[method]]
        best = self.store.highest_accuracy(jobs).training.architecture
        return TrainingJob(task, subnet_training(best, self.recipe, seed, "train_val"))

    def test(self, task: str) -> TestJob:
        """Reading of a task's test part by final models and by the best subnets of evolution."""
        models = {}
        for seed in self.seeds:
            for method in self.candidates(task, seed):
                job = self.final(task, seed, method)
                models[job.key] = job.training
            for name in (n for n in self.names(seed) if n != "noah"):
                search = self.search(task, name, seed)
                for a in best_of(self.store[search]["found"]["evolution"]):
                    key, training = search.inherited(a)
                    models[key] = training
                    job = self.retrained(task, seed, a)
                    models[job.key] = job.training
        return TestJob("search_study", task, tuple(models.items()))

    def run(self) -> None:
        """Run every missing job; the test parts are read last."""
        self.store.run(self.searches(), "searches")
        every = [
            self.retrained(task, seed, a)
            for seed in self.seeds
            for task in self.tasks
            for found in self.candidates(task, seed).values()
            for a in found
        ]
        self.store.run(every, "retraining")
        finals = [
            self.final(task, seed, method)
            for seed in self.seeds
            for task in self.tasks
            for method in self.candidates(task, seed)
        ]
        self.store.run(finals, "final models")
        self.store.run([self.test(task) for task in self.tasks], "test parts")
