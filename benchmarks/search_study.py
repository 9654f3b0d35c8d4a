"""What the search is worth: evolution against chance, NOAH's procedure, uniform subnets and a long search.

::

    python benchmarks/search_study.py --task digits --task FOLDER --workers 2

For each task and seed, at the defaults of ``nas-peft search`` (budget 0.75% of the backbone):

- one supernet, and on it `evolution` with racing, `random` with racing and at least as many image passes, and
  evolution without racing;
- `noah`: the published procedure in its own space, on a supernet of one uniform path a step, with as many
  epochs, candidates and no racing;
- `long`: evolution on a supernet of ten times the epochs, with twice the candidates (``--long-seeds``);
- `uniform`: all three kinds in every layer, one size of each everywhere, the largest within the budget.

The three best subnets of each (NOAH retrains its first one) are trained from scratch on the training part;
the best by validation accuracy, then loss, is trained again on training and validation part. After everything
is chosen the test part of each task is read once, by these final models and by the three best of evolution,
with inherited weights and as trained on the training part.

A line per search and training goes to ``--store`` as it ends; the same command does what is missing, and
shares what ``mini_vtab.py`` has done there. The report goes to ``--out``.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from architecture_table import RESULTS as TABLE
from exit_status import exit_status
from finished_table import FinishedTable
from plain_search import LR, Range, SearchJob, SearchPlan, best_of, subnet_training
from search_report import report_on
from search_tables import print_report
from study_store import (
    Bench,
    Store,
    TestJob,
    TrainingJob,
    add_store_options,
    best_training,
    write_result,
)

from search_spaces import Architecture, InputError, count_params
from supernet import Recipe

DEFAULT = SearchPlan(ways=("evolution", "random", "evolution-whole"))
NOAH = SearchPlan(ways=("noah",), space="noah-vtab", chooser="one-path", trained="space")
LONG_EPOCHS, LONG_GENERATIONS = 10, 2
"""Times those of the default."""
OUT = Path(__file__).parent / "results" / "search_study.json"
UNIFORM = 3


def uniform_mixes(where: Range) -> list[Architecture]:
    """All kinds of the space in every layer, one size of each: the largest few within the budget."""
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


class Study:
    """The jobs of the study, as far as what is finished decides them."""

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
        """One supernet with its searches."""
        return SearchJob(task, self.plans[name], seed)

    def searches(self) -> list[SearchJob]:
        """All of them."""
        return [self.search(t, name, s) for s in self.seeds for name in self.names(s) for t in self.tasks]

    def names(self, seed: int) -> list[str]:
        """The searches of a seed."""
        return [name for name in self.plans if name != "long" or seed in self.long_seeds]

    def candidates(self, task: str, seed: int) -> dict[str, list[Architecture]]:
        """What each method would retrain."""
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
        """On the training part."""
        return TrainingJob(task, subnet_training(architecture, self.recipe, seed, "train"))

    def final(self, task: str, seed: int, method: str) -> TrainingJob:
        """The final model of the best that a method has found."""
        jobs = [self.retrained(task, seed, a) for a in self.candidates(task, seed)[method]]
        best = best_training(self.store, jobs).training.architecture
        return TrainingJob(task, subnet_training(best, self.recipe, seed, "train_val"))

    def test(self, task: str) -> TestJob:
        """All models of a task."""
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
        """Everything that is missing; the test parts last."""
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


def run(argv: Sequence[str] | None) -> None:
    """Do what the command line asks for. Raises `InputError`."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    add_store_options(parser)
    add = parser.add_argument
    add("--seeds", type=int, default=3, help="how many (%(default)s)")
    add("--long-seeds", type=int, default=3, help="of these, with the long search (%(default)s)")
    add("--epochs", type=int, default=8, help="of each separate training (%(default)s)")
    add("--supernet-epochs", type=int, default=4, help="of the default's supernet (%(default)s)")
    add("--table", type=Path, default=TABLE, help="lines of architecture_table.py (%(default)s)")
    add("--out", type=Path, default=OUT, help="JSON of the report (%(default)s)")
    args = parser.parse_args(argv)
    args.task = args.task or ["digits"]
    for name in ("seeds", "epochs", "supernet_epochs", "workers"):
        if getattr(args, name) < 1:
            raise InputError(f"--{name.replace('_', '-')} is less than 1; give a whole number from 1")
    table = FinishedTable.read(args.table) if args.table.exists() else None
    bench = Bench.load(args)
    store = Store(args, bench)
    study = Study(args, store, bench, table)
    study.run()
    report = report_on(study)
    write_result(args.out, {"setup": store.setup, **report}, lambda text: print(text, file=sys.stderr))
    print_report(report)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status, 2 for a mistake in what was given."""
    return exit_status(run, argv)


if __name__ == "__main__":
    sys.exit(main())
