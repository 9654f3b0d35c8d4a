"""Measure the overhead and the scaling of running separate trainings under Ray.

::

    python -m benchmarks.ray_throughput --trainings 8 --epochs 6
    python -m benchmarks.ray_throughput --device cuda --epochs 30 --gpus 1 2 4 8

The trainings are those of a subnet in ``nas-peft search`` (the head alone, then LoRA of rank 2 in every
layer), one for each seed. They run

- one after another in one process with all cores (or one GPU);
- under the runner, which starts Ray and its workers for them and uses the same cores;
- under a runner whose workers have already started;
- with 1, 2, 4, ... workers of one core (or one GPU) each.

There are two goals: the runner takes at most 1.15 times as long as one process, start included, and k workers
have at least 0.85 k times the throughput of one. Other load on the machine spoils the measurement, so the
result file records the load before it.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.harness.command_line import StudyParser, exit_status, whole_number
from benchmarks.harness.machine import environment
from benchmarks.harness.results import RESULTS, write_result
from nas_peft.machine.ray_session import RayOptions
from nas_peft.protocol.rows import Row
from nas_peft.run.progress import StageBars
from nas_peft.run.run_folder import RunFolder
from nas_peft.run.search_inputs import SearchInputs
from nas_peft.settings.search_config import SearchConfig
from nas_peft.training.ray_trainings import RayTrainings
from nas_peft.training.training import Training
from nas_peft.training.trainings import run_training
from search_spaces import Architecture, InputError
from supernet import Recipe, Supernet, pooled_features

OVERHEAD_GOAL = 1.15
SCALING_GOAL = 0.85
AGREEMENT = 1e-3
"""Largest allowed relative difference of a validation loss; the number of threads changes the last digits."""
OUT = RESULTS / "ray_throughput.json"


class WrongContestant(Exception):
    """Trainings under the runner have other losses than in one process."""


class Contestants:
    """The trainings and the ways of running them; each way returns seconds and validation losses."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.device: str = args.device
        self.config = SearchConfig.of(
            dataset=args.task, backbone=args.backbone, epochs=args.epochs, seed=args.seed
        )
        inputs = SearchInputs.load(self.config, StageBars(quiet=True))
        data, depth = inputs.dataset, inputs.space.depth
        network = Supernet(
            inputs.backbone.model.to(self.device), Architecture.empty(depth), len(data.classes)
        )
        features = pooled_features(network, data.train_val.images, inputs.preprocessing).cpu()
        inputs.backbone.model.cpu()
        self.inputs = inputs.for_trainings(features)
        row = Row("lora_rank-2", "single", "subnet", Architecture.uniform(depth, "lora_rank", 2))
        probe = Recipe(epochs=1, lr=1e-3)
        seeds = [args.seed + i for i in range(args.trainings)]
        self.trainings = row.trainings(self.config, probe, seeds, "train")
        self.first = Row("linear", "baseline", "linear", Architecture.empty(depth)).trainings(
            self.config, probe, list(range(max(2, *args.workers))), "train"
        )

    def one_process(self) -> tuple[float, list[float]]:
        """Run one training after another in this process."""
        started = time.perf_counter()
        records = [run_training(training, self.inputs, self.device)[0] for training in self.trainings]
        return time.perf_counter() - started, [record.val_score().loss for record in records]

    def runner(self) -> tuple[float, list[float]]:
        """Run under a runner, with the time in which it starts and ends Ray and its workers."""
        started = time.perf_counter()
        with tempfile.TemporaryDirectory() as path, self._runner(Path(path), RayOptions()) as runner:
            losses = self._losses(runner, self.trainings)
        return time.perf_counter() - started, losses

    def started_runner(self, workers: int | None = None) -> tuple[float, list[float]]:
        """Run under a runner that has started, with ``workers`` of one core or GPU each if given."""
        import ray

        options = RayOptions() if workers is None else RayOptions(cpus_per_trial=1)
        ray.init(
            address="local",
            num_cpus=workers,
            num_gpus=workers if self.device == "cuda" else 0,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
        try:
            with tempfile.TemporaryDirectory() as path, self._runner(Path(path), options) as runner:
                self._losses(runner, self.first[: workers or 2])
                started = time.perf_counter()
                losses = self._losses(runner, self.trainings)
                return time.perf_counter() - started, losses
        finally:
            ray.shutdown()

    def _runner(self, path: Path, options: RayOptions) -> RayTrainings:
        folder = RunFolder.open(path / "run", self.config)
        return RayTrainings(folder, self.inputs, device=self.device, ray_options=options)

    def _losses(self, runner: RayTrainings, trainings: Sequence[Training]) -> list[float]:
        records = runner.run(trainings, lambda: None)
        if reason := next((record.failure for record in records if record.failure), None):
            raise InputError(f"a training failed ({reason})")
        return [record.val_score().loss for record in records]


def measured(contestants: Contestants, workers: Sequence[int]) -> dict[str, Any]:
    """Time each way of running once. Raises `WrongContestant` if losses differ."""
    alone, expected = contestants.one_process()
    cold, losses = contestants.runner()
    worst = _difference(losses, expected)
    warm, losses = contestants.started_runner()
    worst = max(worst, _difference(losses, expected))
    scaling = {}
    for count in workers:
        seconds, losses = contestants.started_runner(count)
        worst = max(worst, _difference(losses, expected))
        scaling[count] = seconds
    return results_of(alone, cold, warm, scaling, len(contestants.trainings)) | {"largest_difference": worst}


def results_of(
    alone: float, cold: float, warm: float, scaling: Mapping[int, float], trainings: int
) -> dict[str, Any]:
    """Overhead and scaling, JSON-able; linear scaling starts from the smallest number of workers."""
    least = min(scaling)
    return {
        "one_process_seconds": alone,
        "runner_seconds": cold,
        "runner_seconds_without_start": warm,
        "overhead": cold / alone,
        "overhead_without_start": warm / alone,
        "overhead_goal": OVERHEAD_GOAL,
        "overhead_goal_met": cold / alone <= OVERHEAD_GOAL,
        "scaling": [
            {
                "workers": count,
                "seconds": seconds,
                "trainings_per_minute": 60 * trainings / seconds,
                "of_linear": (scaling[least] * least) / (seconds * count),
            }
            for count, seconds in sorted(scaling.items())
        ],
        "scaling_goal": SCALING_GOAL,
        "scaling_goal_met": all(
            scaling[least] * least >= SCALING_GOAL * seconds * count for count, seconds in scaling.items()
        ),
    }


def _difference(losses: Sequence[float], expected: Sequence[float]) -> float:
    worst = max(abs(a - b) / abs(b) for a, b in zip(losses, expected, strict=True))
    if worst > AGREEMENT:
        raise WrongContestant(f"a validation loss differs by {worst:.1%} from that of one process")
    return worst


def overhead_table(entry: Mapping[str, Any]) -> Table:
    """Table of the runner beside one process."""
    table = Table(title=f"{entry['trainings']} trainings on {entry['task']}, {entry['cores']} cores")
    for column in ("", "seconds", "of one process", "goal"):
        table.add_column(column, justify="left" if not column else "right")
    table.add_row("one process, all cores", f"{entry['one_process_seconds']:.1f}", "1.00", "")
    goal = f"≤ {OVERHEAD_GOAL}, {'met' if entry['overhead_goal_met'] else 'not met'}"
    table.add_row("runner", f"{entry['runner_seconds']:.1f}", f"{entry['overhead']:.2f}", goal)
    without = (f"{entry['runner_seconds_without_start']:.1f}", f"{entry['overhead_without_start']:.2f}", "")
    table.add_row("runner without its start", *without)
    return table


def scaling_table(entry: Mapping[str, Any]) -> Table:
    """Table of throughput by number of workers."""
    met = "met" if entry["scaling_goal_met"] else "not met"
    table = Table(title=f"workers, goal ≥ {SCALING_GOAL} of linear: {met}")
    for column in ("workers", "seconds", "trainings a minute", "of linear"):
        table.add_column(column, justify="right")
    for line in entry["scaling"]:
        numbers = (line["seconds"], line["trainings_per_minute"])
        table.add_row(str(line["workers"]), *(f"{n:.1f}" for n in numbers), f"{line['of_linear']:.2f}")
    return table


def _powers_of_two(most: int) -> list[int]:
    return [2**i for i in range(most.bit_length())]


def run(argv: Sequence[str]) -> None:
    """Measure the trainings of the command line, print and write. Raises `InputError`."""
    parser = StudyParser("ray_throughput", "Measure overhead and scaling of separate trainings under Ray.")
    add = parser.add_argument
    add("--task", default="digits", help="data set: a folder or a name (%(default)s)")
    add("--backbone", default="vit_micro_patch8_32", help="timm name (%(default)s)")
    add(
        "--trainings",
        type=whole_number,
        default=8,
        help="number of trainings, one for each seed (%(default)s)",
    )
    add("--epochs", type=whole_number, default=6, help="epochs of each training (%(default)s)")
    add("--seed", type=int, default=0, help="seed of the first training (%(default)s)")
    add(
        "--workers",
        type=whole_number,
        nargs="+",
        help="numbers of workers with one core each (1, 2, 4, ... up to all cores)",
    )
    add("--gpus", type=whole_number, nargs="+", help="numbers of workers with one GPU each (--device cuda)")
    add("--device", choices=["cpu", "cuda"], default="cpu", help="device of all trainings (%(default)s)")
    add("--out", type=Path, default=OUT, help="JSON file to write (benchmarks/results/ray_throughput.json)")
    args = parser.parse_args(argv)
    _complete(args)
    contestants = Contestants(args)
    load = os.getloadavg()[0]
    entry = {
        "task": args.task,
        "backbone": args.backbone,
        "trainings": args.trainings,
        "epochs": args.epochs,
        "seeds": [args.seed + i for i in range(args.trainings)],
        "cores": torch.get_num_threads(),
        "load_before": load,
        **measured(contestants, args.workers),
    }
    args.workers = max(args.workers)
    found = environment(args)
    found["versions"]["ray"] = version("ray")
    console = Console(width=100)
    console.print(overhead_table(entry))
    console.print(scaling_table(entry))
    write_result(args.out, found | entry, indent=2)


def _complete(args: argparse.Namespace) -> None:
    if args.device == "cuda" and not torch.cuda.is_available():
        raise InputError("--device is cuda, and there is no CUDA device; leave it out")
    if args.gpus and (args.workers or args.device == "cpu"):
        raise InputError("--gpus is for --device cuda, and instead of --workers; leave out one or the other")
    devices = torch.cuda.device_count() if args.device == "cuda" else os.cpu_count() or 1
    args.workers = args.gpus or args.workers or _powers_of_two(devices)
    if max(args.workers) > args.trainings:
        raise InputError(
            f"{max(args.workers)} workers are more than {args.trainings} trainings; give more --trainings"
        )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status, 2 for a mistake in the arguments."""
    return exit_status(run, argv)


if __name__ == "__main__":
    sys.exit(main())
