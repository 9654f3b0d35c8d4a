"""The small VTAB: the searched subnet beside every baseline, on seven small tasks, by one protocol.

::

    python benchmarks/mini_vtab.py --data FOLDER --workers 2

Tasks: digits; cifar100, caltech101 and dtd10, task folders in ``--data`` (`public_tasks.py` makes them from
the public data sets); and three structured ones that the package renders itself. 800 training and 200
validation images each (dtd10 has fewer).

Methods: full fine-tuning, linear probing, LP-FT, L2-SP, BitFit; VPT-shallow; within the budget VPT-deep,
LoRA, adapter and SSF, each alone in every layer at its largest size or at a quarter of it (of prompts,
ranks and widths; SSF at 6 operations or 2); LoRA on all four projections, and there and on the position
embedding; NOAH as published; the searched subnet; and ``selected``, what ``nas-peft search`` exports: the
best on validation data of the searched subnet and VPT, LoRA, adapter and SSF. (The tool also tries the other
kinds of the space alone.)

The budget is NOAH's for this backbone: 0.64 million parameters leave each of ViT-B/16's 12 layers 69
vectors of its width, and 69 vectors for 8 layers of width 128 are 71,000 parameters (4.4%, where ViT-B/16
has 0.75%). With 0.75% of so narrow a backbone there is no room for the published sizes, of LoRA 8 for
instance.

As in ``nas-peft search --space large --budget 71000 --supernet-epochs 4,16 --generations 24 --population 24
--lr-grid ... --seeds 3 --baselines all,noah``, but for this: everything is chosen with the first seed alone,
learning rates come from `MODULE_RATES` and `RATES`, and a single method's size is chosen at the middle rate.

1. One search for a task (supernets of two lengths, of which validation data choose one; evolution), and one
   of NOAH's.
2. Sizes of single methods, then learning rates: once for each method and task, on validation data. Linear
   probing has its own grid. The searched subnet is the best on validation data of the three best of the
   search, each at its best rate, retrained on the training part.
3. Final models are trained with three seeds on training and validation part, to the last epoch.
4. The test part of a task is read once, after all of this.

Best on validation data is the lowest loss, then the highest accuracy, as in the tool.

A method wins or loses against another on a task where a paired t-test over the seeds says so at 5%; with
three seeds that takes 2.5 standard deviations of the difference, so differences are shown beside.

Every training is ``--epochs`` long from a head that was briefly trained alone, AdamW, cosine, no
augmentation. What is reduced for two cores: 8 epochs where NOAH has 100 (its supernet has five times the
epochs of a retraining, as published), and images of 32 pixels. A line per search and training goes to
``--store`` as it ends; the same command does what is missing. A task takes about twenty minutes on two
cores, and tasks are independent: ``--task`` does some of them first.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from exit_status import exit_status
from mini_vtab_report import print_report, report_on
from plain_search import HEAD, SearchJob, SearchPlan, best_of, mixed_of, subnet_training
from study_store import Bench, Store, TestJob, TrainingJob, add_store_options, lowest_loss, write_result

from nas_peft.settings.methods import METHODS, Method
from nas_peft.training.training import Training
from search_spaces import Architecture, InputError, count_params
from supernet import Recipe, biases

EMBEDDED = ("digits", "shapes-location", "shapes-orientation", "shapes-count")
FOLDERS = ("cifar100", "caltech101", "dtd10")
BUDGET = "71000"
"""As many vectors of the backbone's width in each layer as NOAH's 0.64 million parameters: 69."""
MODULE_RATES = (3e-3, 1e-2, 3e-2)
RATES: dict[Method, tuple[float, ...]] = {
    "full": (3e-4, 1e-3, 3e-3, 1e-2),
    "lp-ft": (3e-4, 1e-3, 3e-3, 1e-2),
    "l2-sp": (3e-4, 1e-3, 3e-3, 1e-2),
    "bitfit": (5e-3, 1.5e-2, 5e-2, 1.5e-1),
}
LINEAR_RATES = (3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1)
LINEAR_EPOCHS = 100
SINGLES: dict[str, tuple[str, tuple[int, ...]]] = {
    "VPT-deep": ("prompt_tokens", (64, 16)),
    "LoRA": ("lora_rank", (16, 4)),
    "adapter": ("adapter_dim", (32, 8)),
    "SSF": ("ssf", (6, 2)),
}
"""Kind and sizes; validation data choose between the largest within the budget, and less."""
PROJECTIONS = ("lora_rank", "lora_rank_proj", "lora_rank_fc1", "lora_rank_fc2")
PROJECTIONS_RANK = 4
POSITIONS = "lora_rank_pos"
POSITIONS_RANK = 16
SHALLOW_TOKENS = 50
BASELINES: dict[str, Method] = {
    "full fine-tuning": "full",
    "linear probing": "linear",
    "LP-FT": "lp-ft",
    "L2-SP": "l2-sp",
    "BitFit": "bitfit",
}
NOAH_EPOCHS = 5
"""Epochs of NOAH's supernet, in those of a retraining: 500 and 100 in the paper."""
OUT = Path(__file__).parent / "results" / "mini_vtab.json"

On = Literal["train", "train_val"]


@dataclass(frozen=True)
class Setting:
    """What decides the whole comparison but the tasks."""

    epochs: int
    supernet_epochs: tuple[int, ...]
    seeds: int

    @property
    def plan(self) -> SearchPlan:
        """The tool's search, in a larger space and budget: longer, with a choice of the supernet's epochs."""
        return SearchPlan(
            space="large",
            budget=BUDGET,
            supernet_epochs=self.supernet_epochs,
            generations=24,
            population=24,
        )

    @property
    def noah(self) -> SearchPlan:
        """NOAH as published: its space, one uniform path a step, no racing, a generation more than 15."""
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
    """The jobs, as far as what is finished decides them."""

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
        """A subnet at a learning rate."""
        return TrainingJob(task, subnet_training(a, Recipe(self.setting.epochs, lr), seed, on))

    def baseline(self, task: str, method: Method, rate: float, seed: int, on: On) -> TrainingJob:
        """A baseline at a learning rate."""
        info = METHODS[method]
        epochs = LINEAR_EPOCHS if method == "linear" else self.setting.epochs
        recipe = Recipe(epochs, rate, weight_decay=info.weight_decay)
        head = {"briefly": HEAD, "not": None, "probe": None}[info.head]
        if info.head == "probe":
            head = self.linear(task, 0, "train").training.recipe
        return TrainingJob(task, Training(method, method, self.empty, recipe, head, seed, on))

    def linear(self, task: str, seed: int, on: On) -> TrainingJob:
        """Linear probing at its chosen rate."""
        tried = [self.baseline(task, "linear", rate, 0, "train") for rate in LINEAR_RATES]
        best = min(tried, key=lambda job: self.store[job]["val"]["loss"])
        return self.baseline(task, "linear", best.training.recipe.lr, seed, on)

    def rates(self, task: str, method: Method) -> list[TrainingJob]:
        """A baseline at each rate of its grid."""
        return [self.baseline(task, method, lr, 0, "train") for lr in RATES[method]]

    def subnet_rates(self, task: str, a: Architecture) -> list[TrainingJob]:
        """A subnet at each rate of the grid."""
        return [self.subnet(task, a, lr, 0, "train") for lr in MODULE_RATES]

    def sizes(self, task: str, name: str) -> list[TrainingJob]:
        """A method alone at each of its sizes, at the middle rate."""
        return [self.subnet_rates(task, a)[len(MODULE_RATES) // 2] for a in self.alone[name]]

    def sized(self, task: str, name: str) -> Architecture:
        """A method alone at the size that is best on validation data."""
        return lowest_loss(self.store, self.sizes(task, name)).training.architecture

    # -- searches ------------------------------------------------------------------------------------------

    def search(self, task: str) -> SearchJob:
        """The tool's own."""
        return SearchJob(task, self.setting.plan, 0)

    def noah_search(self, task: str) -> SearchJob:
        """NOAH's."""
        return SearchJob(task, self.setting.noah, 0)

    def found(self, task: str) -> list[Architecture]:
        """The best subnets of the search that are no single methods."""
        return mixed_of(self.store[self.search(task)]["found"]["evolution"])

    def noah(self, task: str) -> Architecture:
        """The best subnet of NOAH's search."""
        return best_of(self.store[self.noah_search(task)]["found"]["noah"])[0]

    def single(self, task: str, name: str) -> TrainingJob:
        """A method alone at its best size and rate."""
        return lowest_loss(self.store, self.subnet_rates(task, self.sized(task, name)))

    def searched(self, task: str) -> TrainingJob:
        """The best on validation data of the search's best subnets, each at its best rate."""
        jobs = [job for a in self.found(task) for job in self.subnet_rates(task, a)]
        return lowest_loss(self.store, jobs)

    def selected(self, task: str) -> tuple[str, TrainingJob]:
        """What the tool exports: the best on validation data, searched subnet or single method."""
        rivals = {"searched": self.searched(task)}
        rivals |= {name: self.single(task, name) for name in self.singles}
        best = lowest_loss(self.store, list(rivals.values()))
        return next((name, job) for name, job in rivals.items() if job is best)

    def finals(self, task: str, seed: int) -> dict[str, TrainingJob]:
        """The final model of each method."""
        found = {}
        for label, method in BASELINES.items():
            if method == "linear":
                found[label] = self.linear(task, seed, "train_val")
            else:
                rate = lowest_loss(self.store, self.rates(task, method)).training.recipe.lr
                found[label] = self.baseline(task, method, rate, seed, "train_val")
        chosen = {name: self.single(task, name) for name in self.alone}
        chosen["NOAH"] = lowest_loss(self.store, self.subnet_rates(task, self.noah(task)))
        chosen["searched"] = self.searched(task)
        chosen["selected"] = self.selected(task)[1]
        return found | {
            name: TrainingJob(task, replace(job.training, seed=seed, on="train_val"))
            for name, job in chosen.items()
        }

    def test(self, task: str) -> TestJob:
        """All final models of a task."""
        jobs = [job for seed in range(self.setting.seeds) for job in self.finals(task, seed).values()]
        return TestJob("mini_vtab", task, tuple({job.key: job.training for job in jobs}.items()))

    def params(self, job: TrainingJob) -> int:
        """What is trained without the head."""
        trains = METHODS[job.training.method].trains
        if trains == "all":
            return self.backbone_params
        if trains == "biases":
            return self.bias_params
        return count_params(job.training.architecture, self.shape)

    # -- everything ----------------------------------------------------------------------------------------

    def run(self) -> None:
        """Everything that is missing, in the order in which one thing decides the next."""
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


def run(argv: Sequence[str] | None) -> None:
    """Do what the command line asks for. Raises `InputError`."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    add_store_options(parser)
    add = parser.add_argument
    add("--data", type=Path, help=f"folder with the task folders {', '.join(FOLDERS)}")
    add("--seeds", type=int, default=3, help="how many (%(default)s)")
    add("--epochs", type=int, default=8, help="of each training (%(default)s)")
    add(
        "--supernet-epochs",
        type=int,
        nargs="+",
        default=[4, 16],
        help="of the supernet; of several validation data choose one (4 16)",
    )
    add("--out", type=Path, default=OUT, help="JSON of the report (%(default)s)")
    args = parser.parse_args(argv)
    if args.task is None:
        if args.data is None:
            raise InputError(
                f"give --data FOLDER with the task folders {', '.join(FOLDERS)} "
                "(benchmarks/public_tasks.py makes them), or name data sets by --task"
            )
        args.task = [EMBEDDED[0], *(str(args.data / name) for name in FOLDERS), *EMBEDDED[1:]]
    for name in ("seeds", "epochs", "supernet_epochs", "workers"):
        given = getattr(args, name)
        if (min(given) if isinstance(given, list) else given) < 1:
            raise InputError(f"--{name.replace('_', '-')} is less than 1; give a whole number from 1")
    bench = Bench.load(args)
    store = Store(args, bench)
    study = MiniVtab(args.task, Setting(args.epochs, tuple(args.supernet_epochs), args.seeds), store, bench)
    study.run()
    report = report_on(study)
    write_result(args.out, {"setup": store.setup, **report}, lambda text: print(text, file=sys.stderr))
    print_report(report)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status, 2 for a mistake in what was given."""
    return exit_status(run, argv)


if __name__ == "__main__":
    sys.exit(main())
