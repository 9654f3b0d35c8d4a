r"""What one would do instead of a search: tune a uniform subnet, each trial trained alone.

    python -m benchmarks.plain_command --task digits --time auto --seeds 3
    python -m benchmarks.tuning_rivals --task digits --seeds 1

    python -m benchmarks.plain_command --time 1m --time 3m --time 10m --seeds 1 --out curve.json
    python -m benchmarks.tuning_rivals --report curve.json --rival tpe --rival full \
        --store runs/curve --out rivals.json

Optuna's TPE and random search choose which kinds a subnet has in all layers alike, their sizes, the learning
rate and the augmentation, by validation accuracy; crops are cut from larger copies, as in the plain command.
For each run in the report of the plain command they have as many image passes, forward and backward, as that
run took before its final models, baselines included. The rival ``full`` is full fine-tuning by the rates and
lengths of a grid, the shortest first, as far as these passes go. What they choose is then trained on both
parts and tested, once for the whole study, beside what the run exported and what it would have exported
without a supernet: the best of its single methods, its portfolio.

Lines and models go to ``--store``, where an interrupted study resumes, and the report to
``benchmarks/results/tuning_rivals.json``. A store reads a test part once, so each study has one of its own.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, Literal

import optuna

from benchmarks.harness.bench import Bench
from benchmarks.harness.command_line import StudyParser, exit_status, whole_number
from benchmarks.harness.jobs import TestJob, TrainingJob
from benchmarks.harness.keys import task_name
from benchmarks.harness.machine import environment
from benchmarks.harness.recipes import HEAD
from benchmarks.harness.results import RESULTS, write_result
from benchmarks.harness.search_job import subnet_training
from benchmarks.harness.standard_error import mean_and_error
from benchmarks.harness.store import Store, add_store_options
from nas_peft.training.training import Training
from search_spaces import KINDS, Architecture, Budget, InputError, SearchSpace, count_params, load_space
from search_spaces.streams import stream_seed
from supernet import Recipe
from supernet.augmentation import AugmentationName

OUT = RESULTS / "tuning_rivals.json"
REPORT = RESULTS / "plain_command.json"
STUDY = "tuning_rivals"
SPACE = "large"
"""The space of the levels of the plain command."""
EPOCHS = 8
RATES = (1e-3, 1e-1)
AUGMENTATIONS: tuple[AugmentationName, ...] = ("none", "crop")
SAMPLERS = ("tpe", "random")
GRID = "full"
RIVALS = (*SAMPLERS, GRID)
LABELS = {"portfolio": "without a supernet", "tpe": "TPE", "random": "random", GRID: "full fine-tuning"}
GRID_EPOCHS = (4, 8, 16, 32)
GRID_RATES = (6e-4, 1.8e-4, 1.8e-3)
"""Those of the plan's full fine-tuning."""
STARTED_AT_RANDOM = 3
"""One of so many trials of TPE is drawn at random before its model is used."""


@dataclass(frozen=True)
class UniformSubnets:
    """Subnets that are alike in all layers, of the kinds and sizes of a space, within a budget."""

    space: SearchSpace
    bench: Bench
    budget: str

    def drawn(self, trial: optuna.Trial) -> tuple[Architecture, Recipe]:
        """Subnet and recipe of a trial.

        While a draw is beyond the budget, the kind with most parameters gets its next smaller size.
        """
        sizes = {
            kind: int(trial.suggest_categorical(kind, choices.sizes)) for kind, choices in self.space.kinds
        }
        limit = Budget.parse(self.budget, backbone_params=self.bench.backbone.params).limit(0)
        while count_params(self.of(sizes), self.bench.backbone.shape) > limit:
            shape = self.bench.backbone.shape
            cost = {kind: count_params(self.of({kind: n}), shape) for kind, n in sizes.items()}
            largest = max(cost, key=lambda kind: cost[kind])
            sizes[largest] = max(n for n in dict(self.space.kinds)[largest].sizes if n < sizes[largest])
        lr = trial.suggest_float("lr", *RATES, log=True)
        augmentation = AUGMENTATIONS[trial.suggest_categorical("augmentation", range(len(AUGMENTATIONS)))]
        return self.of(sizes), Recipe(EPOCHS, float(f"{lr:.3g}"), augmentation=augmentation)

    def of(self, sizes: dict[str, int]) -> Architecture:
        """The subnet with these sizes in each layer, or in the first for kinds that have no other."""
        depth = self.space.depth
        return Architecture.of(
            depth,
            {
                kind: [n] + [0 if KINDS[kind].first_layer_only else n] * (depth - 1)
                for kind, n in sizes.items()
                if n
            },
        )


class RivalStudy:
    """The rivals of the runs of a report."""

    def __init__(self, args: argparse.Namespace, store: Store, bench: Bench) -> None:
        self.store, self.bench = store, bench
        self.rivals = [name for name in RIVALS if name in args.rival]
        self.space = load_space(SPACE, bench.backbone.depth)
        self.specs = {task_name(task): task for task in args.task}
        if not args.report.exists():
            raise InputError(
                f"there is no report '{args.report}'; python -m benchmarks.plain_command makes one"
            )
        runs = json.loads(args.report.read_text(encoding="utf-8"))["lines"]
        self.runs = [run for run in runs if run["task"] in self.specs and run["seed"] < args.seeds]
        if missing := set(self.specs) - {run["task"] for run in self.runs}:
            raise InputError(f"'{args.report}' has no run on {', '.join(sorted(missing))}; make it first")

    def epochs(self, run: dict[str, Any]) -> int:
        """The epochs of trials, forward and backward, that have as many passes as a run."""
        return int(run["passes"] // (2 * len(self.bench.task(self.specs[run["task"]])[1].train)))

    def trials(self, run: dict[str, Any], name: str) -> list[TrainingJob]:
        """The trials of one rival beside a run."""
        return self.of_grid(run) if name == GRID else self.of_sampler(run, name)

    def of_grid(self, run: dict[str, Any]) -> list[TrainingJob]:
        """Full fine-tuning at the rates and lengths of the grid that the passes allow, at least at one."""
        left = self.epochs(run)
        found: list[tuple[int, float]] = []
        for epochs, lr in product(GRID_EPOCHS, GRID_RATES):
            if found and epochs > left:
                break
            left -= epochs
            found.append((epochs, lr))
        whole = Architecture.empty(self.space.depth)
        jobs = [self.job(run, whole, Recipe(epochs, lr), "train") for epochs, lr in found]
        self.store.run(jobs, f"{run['task']} seed {run['seed']} {GRID}")
        return jobs

    def job(
        self,
        run: dict[str, Any],
        architecture: Architecture,
        recipe: Recipe,
        on: Literal["train", "train_val"],
    ) -> TrainingJob:
        """The training of a subnet, or of the whole backbone where there are no modules."""
        if architecture.kinds:
            training = subnet_training(architecture, recipe, run["seed"], on)
        else:
            training = Training("full", "full", architecture, recipe, HEAD, run["seed"], on)
        return TrainingJob(self.specs[run["task"]], training)

    def of_sampler(self, run: dict[str, Any], name: str) -> list[TrainingJob]:
        """The trials of one sampler beside a run, trained one after another."""
        count = max(1, self.epochs(run) // EPOCHS)
        seed = stream_seed(run["seed"], "rival", name) % 2**32
        samplers: dict[str, optuna.samplers.BaseSampler] = {
            "tpe": optuna.samplers.TPESampler(seed=seed, n_startup_trials=max(1, count // STARTED_AT_RANDOM)),
            "random": optuna.samplers.RandomSampler(seed=seed),
        }
        study = optuna.create_study(direction="maximize", sampler=samplers[name])
        subnets = UniformSubnets(self.space, self.bench, run["budget"])
        found = []
        for number in range(count):
            trial = study.ask()
            architecture, recipe = subnets.drawn(trial)
            if not architecture.kinds:  # linear probing, which the run compares with anyway
                study.tell(trial, state=optuna.trial.TrialState.FAIL)
                continue
            job = self.job(run, architecture, recipe, "train")
            self.store.run([job], f"{run['task']} seed {run['seed']} {name} {number + 1}/{count}")
            val = self.store[job]["val"]
            study.tell(trial, val["accuracy"] if val else 0.0)
            found.append(job)
        return found

    def final(self, run: dict[str, Any], name: str) -> TrainingJob:
        """The final model of one rival beside a run: its best trial, trained on both parts."""
        best = self.store.highest_accuracy(self.trials(run, name)).training
        return self.job(run, best.architecture, best.recipe, "train_val")

    def lines(self) -> list[dict[str, Any]]:
        """Each run with its rivals; trains and tests what is missing."""
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        finals = [(run, name, self.final(run, name)) for run in self.runs for name in self.rivals]
        self.store.run([job for _, _, job in finals], "final models")
        tests = {
            task: TestJob(
                STUDY,
                spec,
                tuple((job.key, job.training) for run, _, job in finals if run["task"] == task),
            )
            for task, spec in self.specs.items()
        }
        self.store.run(list(tests.values()), "test parts")
        lines = []
        for run in self.runs:
            line = {key: run[key] for key in ("task", "time", "seed", "seconds", "passes", "budget")}
            for ours in ("exported", "portfolio"):
                row = run["rows"][run[ours]]
                line[ours] = {key: row[key] for key in ("test", "params", "label")}
            for other, name, job in finals:
                if other is run:
                    architecture = job.training.architecture
                    shape = self.bench.backbone.shape
                    params = self.bench.backbone.params if name == GRID else count_params(architecture, shape)
                    line[name] = {
                        "test": self.store[tests[run["task"]]]["of"][job.key]["accuracy"],
                        "params": params,
                        "architecture": architecture.describe(),
                        "recipe": job.training.recipe.to_dict(),
                        "trials": len(self.trials(run, name)),
                    }
            lines.append(line)
        return lines


def table(lines: Sequence[dict[str, Any]]) -> list[str]:
    """Means over the runs of each task and time, as lines of Markdown."""
    names = ["exported", *(name for name in LABELS if name in lines[0])]
    heads = " | ".join(f"{LABELS.get(name, 'exported: test %')} | parameters" for name in names)
    found = [f"| task | time | runs | seconds | {heads} |", "|---|---|" + "---:|" * 2 * (len(names) + 1)]
    for task, time in dict.fromkeys((line["task"], line["time"]) for line in lines):
        of_both = [line for line in lines if (line["task"], line["time"]) == (task, time)]
        cells = []
        for name in names:
            cells.append(f"{100 * mean_and_error([line[name]['test'] for line in of_both])[0]:.1f}")
            cells.append(f"{mean_and_error([line[name]['params'] for line in of_both])[0]:,.0f}")
        seconds = mean_and_error([line["seconds"] for line in of_both])[0]
        found.append(f"| {task} | {time} | {len(of_both)} | {seconds:.0f} | {' | '.join(cells)} |")
    for name in names[1:]:
        leads = [line["exported"]["test"] - line[name]["test"] for line in lines]
        mean, error = mean_and_error(leads)
        found.append(
            f"\nLead on {LABELS[name]}: {100 * mean:+.2f} points"
            + (f" ± {100 * error:.2f} over {len(leads)} runs" if len(leads) > 1 else "")
        )
    return found


def run(argv: Sequence[str]) -> None:
    """Train what is missing, test once, write and print the report. Raises `InputError`."""
    parser = StudyParser("tuning_rivals", "Compare the plain command with tuning uniform subnets.")
    add_store_options(parser)
    add = parser.add_argument
    add("--report", type=Path, default=REPORT, help="report of plain_command (%(default)s)")
    add("--seeds", type=whole_number, default=3, help="runs of the report with a lower seed (%(default)s)")
    add("--out", type=Path, default=OUT, help="JSON file of the report")
    add("--rival", action="append", choices=RIVALS, help="a rival; repeat for more (tpe, random)")
    parser.set_defaults(larger_images=True)
    args = parser.parse_args(argv)
    args.rival = args.rival or list(SAMPLERS)
    if args.workers != 1:
        raise InputError(f"workers is {args.workers}, but each trial waits for the one before; leave it out")
    args.task = args.task or ["digits"]
    bench = Bench.load(args)
    lines = RivalStudy(args, Store(args, bench, args.task, STUDY), bench).lines()
    write_result(args.out, {**environment(args), "head": HEAD.to_dict(), "lines": lines}, indent=1)
    print("\n".join(table(lines)))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status, 2 for a mistake in the arguments."""
    return exit_status(run, argv)


if __name__ == "__main__":
    sys.exit(main())
