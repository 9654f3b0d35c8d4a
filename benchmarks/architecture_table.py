"""The table of architectures: each trained alone, once, for every study of the search to be judged by.

::

    python benchmarks/architecture_table.py --task digits --task FOLDER --workers 2

36 architectures of the default space on the shipped backbone (``--backbone``): half of them spread over all
sizes, flat over the logarithm of their parameters, half of nearly equal size (8,100 to 9,700 parameters at
width 128), with single methods, whole and in a part of the layers, among both. Each is trained on the
training part of each task with each seed, and scored on the validation part and on the test part. **The
test columns are for judging searchers afterwards, never for choosing anything.**

A training is what `nas-peft search` does with a searched subnet: the head alone for 20 epochs at 3e-3 on
cached features, then modules and head for 10 epochs (``--epochs``) of AdamW at a peak learning rate of
5e-3, batches of 64, weight decay 1e-4, cosine decay after 10% warm-up, no augmentation.

One JSON line per training is appended to ``--out`` as it ends, the first seed of everything before the
second; a second run of the same command does what is missing. What all lines share (recipe, backbone,
machine, versions, fingerprints of the data) stands beside it in a ``.json`` file, and a run whose setup
differs is refused.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import platform
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch
from backbone_quality import machine
from exit_status import exit_status

from nas_peft.data import ImageDataset, Part, load_dataset
from nas_peft.training.trainings import probe_head
from search_spaces import Architecture, BackboneShape, BudgetSampler, InputError, count_params, load_space
from search_spaces.streams import stream, stream_seed
from supernet import (
    DEFAULT_BACKBONE,
    Backbone,
    Constant,
    Preprocessing,
    Recipe,
    Supernet,
    create_backbone,
    evaluate,
    pooled_features,
    train,
    write_atomically,
)

SPACE = "default"
EQUAL = (8_100, 9_700)
"""The parameters of the architectures of nearly equal size, at width 128: 8,900 +- 9%."""
HEAD = Recipe(epochs=20, lr=3e-3)
EPOCHS, LR = 10, 5e-3
RESULTS = Path(__file__).parent / "results" / "architecture_table.jsonl"


_J = TypeVar("_J", contravariant=True)


@dataclass(frozen=True)
class Entry:
    """One architecture of the table; ``group`` is ``spread`` or ``equal``."""

    group: str
    architecture: Architecture


def architectures(shape: BackboneShape) -> list[Entry]:
    """36 different architectures, half of each group; the same at every call.

    The equal group's range grows with the width; single methods are placed whole, in the first and in the
    last quarter of the layers.
    """
    depth, width = shape.depth, shape.width
    low, high = (round(count * width / 128 * depth / 8) for count in EQUAL)
    space = load_space(SPACE, depth)
    quarter = max(1, depth // 4)

    def first(kind: str, size: int) -> Architecture:
        return Architecture.of(depth, {kind: [size] * quarter + [0] * (depth - quarter)})

    def last(kind: str, size: int) -> Architecture:
        return Architecture.of(depth, {kind: [0] * (depth - quarter) + [size] * quarter})

    def uniform(kind: str, size: int) -> Architecture:
        return Architecture.uniform(depth, kind, size)

    spread = [
        uniform("lora_rank", 1),
        uniform("lora_rank", 8),
        uniform("adapter_dim", 1),
        uniform("adapter_dim", 16),
        uniform("prompt_tokens", 2),
        uniform("prompt_tokens", 32),
    ]
    equal = [
        uniform("lora_rank", 2),
        uniform("adapter_dim", 4),
        uniform("prompt_tokens", 8),
        first("lora_rank", 8),
        last("lora_rank", 8),
        first("adapter_dim", 16),
        first("prompt_tokens", 32),
    ]
    largest = count_params(space.largest(), shape)
    bands = [largest ** (i / 12) * (8 * width) ** (1 - i / 12) for i in range(13)]
    for i in range(12):
        sampler = BudgetSampler(space, shape, round(bands[i]), round(bands[i + 1]))
        spread.append(_another(sampler, spread + equal, "spread", i))
    sampler = BudgetSampler(space, shape, low, high)
    for i in range(18 - len(equal)):
        equal.append(_another(sampler, spread + equal, "equal", i))
    return [Entry("spread", a) for a in spread] + [Entry("equal", a) for a in equal]


def _another(sampler: BudgetSampler, taken: Sequence[Architecture], *path: str | int) -> Architecture:
    rng = stream(0, "architecture table", *path)
    while (drawn := sampler.sample(rng)) in taken:
        pass
    return drawn


@dataclass(frozen=True)
class Task:
    """A data set with its test part open and the pretrained features of its training part."""

    name: str
    fingerprint: str
    classes: int
    train: Part
    val: Part
    test: Part
    features: torch.Tensor


@dataclass(frozen=True)
class Job:
    """One training of the table."""

    task: str
    entry: Entry
    seed: int

    @property
    def key(self) -> tuple[str, str, int]:
        """What tells it apart in the file."""
        return (self.task, json.dumps(self.entry.architecture.to_dict()), self.seed)


@dataclass(frozen=True)
class Bench:
    """What a worker process loads once."""

    backbone: Backbone
    preprocessing: Preprocessing
    tasks: dict[str, Task]
    recipe: Recipe
    device: str

    @classmethod
    def load(cls, args: argparse.Namespace, threads: int | None = None) -> Bench:
        """Backbone and data sets of the command line."""
        if threads:
            torch.set_num_threads(threads)
        backbone = create_backbone(args.backbone)
        backbone.model.to(args.device)
        preprocessing = Preprocessing.of(backbone.model)
        tasks = load_tasks(args.task, backbone, preprocessing)
        return cls(backbone, preprocessing, tasks, Recipe(args.epochs, LR), args.device)

    def run(self, job: Job) -> dict[str, Any]:
        """Train one architecture alone and score it; the line of the table."""
        task, a = self.tasks[job.task], job.entry.architecture
        started = time.perf_counter()
        seed = stream_seed(job.seed, "architecture table", job.task, job.key[1])
        network = Supernet(self.backbone.model, a, task.classes, seed=seed)
        labels = task.train.labels
        probe_head(network, labels, task.features, self.preprocessing, HEAD, seed)
        curve = train(
            network,
            task.train.images,
            labels,
            preprocessing=self.preprocessing,
            chooser=Constant(a),
            recipe=self.recipe,
            seed=seed,
        )
        seconds = time.perf_counter() - started
        line: dict[str, Any] = {"task": job.task, "group": job.entry.group, "architecture": a.to_dict()}
        line |= {"params": count_params(a, self.backbone.shape), "seed": job.seed}
        for name, part in (("val", task.val), ("test", task.test)):
            scores = evaluate(network, part.images, part.labels, preprocessing=self.preprocessing)
            line |= {f"{name}_accuracy": scores.accuracy, f"{name}_loss": scores.loss}
        line |= {"image_passes": curve.image_passes, "seconds": round(seconds, 2)}
        return line


def load_tasks(names: Sequence[str], backbone: Backbone, preprocessing: Preprocessing) -> dict[str, Task]:
    """The data sets that ``names`` mean, by their own names. Raises `InputError`."""
    datasets = [load_dataset(name, to_tensor=preprocessing.to_tensor) for name in names]
    return {dataset.name: _opened(dataset, backbone, preprocessing) for dataset in datasets}


def _opened(dataset: ImageDataset, backbone: Backbone, preprocessing: Preprocessing) -> Task:
    empty = Architecture.empty(backbone.depth)
    probe = Supernet(backbone.model, empty, len(dataset.classes))
    return Task(
        name=dataset.name,
        fingerprint=dataset.fingerprint,
        classes=len(dataset.classes),
        train=dataset.train,
        val=dataset.val,
        test=dataset.test.open("the table of architectures, which chooses nothing"),
        features=pooled_features(probe, dataset.train.images, preprocessing, architecture=empty),
    )


class Worker(Protocol[_J]):
    """What a process loads once, and what then runs one job after another."""

    @classmethod
    def load(cls, args: argparse.Namespace, threads: int | None = None) -> Worker[_J]:
        """Everything that jobs need, on ``threads`` threads."""

    def run(self, job: _J) -> dict[str, Any]:
        """The line of a job, JSON-able."""


_worker: Worker[Any] | None = None


def _start_worker(kind: type[Worker[Any]], args: argparse.Namespace, threads: int) -> None:
    global _worker
    _worker = kind.load(args, threads)


def _run_in_worker(job: Any) -> dict[str, Any]:
    assert _worker is not None
    return _worker.run(job)


def run_jobs(jobs: Sequence[_J], args: argparse.Namespace, worker: Worker[_J]) -> Iterator[dict[str, Any]]:
    """The lines of ``jobs`` as they end, from ``args.workers`` processes that share the cores."""
    if args.workers == 1:
        yield from map(worker.run, jobs)
        return
    threads = max(1, torch.get_num_threads() // args.workers)
    with ProcessPoolExecutor(
        args.workers, multiprocessing.get_context("spawn"), _start_worker, (type(worker), args, threads)
    ) as pool:
        for future in as_completed([pool.submit(_run_in_worker, job) for job in jobs]):
            yield future.result()


def environment(args: argparse.Namespace) -> dict[str, Any]:
    """Machine and versions, for the file beside the lines."""
    return {
        "machine": {
            "processor": machine()["processor"],
            "device": torch.cuda.get_device_name() if args.device == "cuda" else args.device,
            "workers": args.workers,
        },
        "versions": {"python": platform.python_version(), "torch": torch.__version__}
        | {name: version(name) for name in ("timm", "nas-peft")},
    }


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The finished trainings; a last line that a kill cut short is left out."""
    if not path.exists():
        return []
    text = path.read_text(encoding="utf-8")
    return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]


def lines_to_go_on_with(out: Path, setup: dict[str, Any]) -> list[dict[str, Any]]:
    """The lines of ``out``, ready to be appended to; ``setup`` is in the file beside it.

    Raises `InputError` where the lines come from a setup with other ``results``.
    """
    beside = out.with_suffix(".json")
    out.parent.mkdir(parents=True, exist_ok=True)
    if beside.exists():
        found = json.loads(beside.read_text(encoding="utf-8"))
        if found["results"] != setup["results"]:
            raise InputError(f"'{out}' holds trainings of another setup (see '{beside}'); give another --out")
    else:
        write_atomically(beside, (json.dumps(setup, indent=2) + "\n").encode())
    lines = read_lines(out)
    write_atomically(out, "".join(json.dumps(line) + "\n" for line in lines).encode())
    return lines


def keys_of(lines: Iterable[dict[str, Any]]) -> set[tuple[str, str, int]]:
    """`Job.key` of each line."""
    return {(line["task"], json.dumps(line["architecture"]), line["seed"]) for line in lines}


def run(argv: Sequence[str] | None) -> None:
    """Train what is missing. Raises `InputError`."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    add = parser.add_argument
    add("--task", action="append", help="data set: a folder or a name; repeat for more (digits)")
    add("--backbone", default=DEFAULT_BACKBONE, help="timm name (%(default)s)")
    add("--seeds", type=int, default=3, help="how many (%(default)s)")
    add("--epochs", type=int, default=EPOCHS, help="of each training (%(default)s)")
    add("--limit", type=int, help="only the first so many architectures of each group")
    add("--workers", type=int, default=1, help="processes that share the cores (%(default)s)")
    add("--device", default="cuda" if torch.cuda.is_available() else "cpu", help="(%(default)s)")
    add("--out", type=Path, default=RESULTS, help="JSON lines file (benchmarks/results/%(prog)sl)")
    args = parser.parse_args(argv)
    args.task = args.task or ["digits"]

    bench = Bench.load(args)
    results = {
        "backbone": {"name": bench.backbone.name, "digest": bench.backbone.digest},
        "space": SPACE,
        "recipe": bench.recipe.to_dict(),
        "head": HEAD.to_dict(),
        "tasks": {name: task.fingerprint for name, task in bench.tasks.items()},
    }
    lines = lines_to_go_on_with(args.out, {"results": results, **environment(args)})
    entries = architectures(bench.backbone.shape)
    if args.limit:
        half = len(entries) // 2
        entries = entries[: args.limit] + entries[half : half + args.limit]
    done = keys_of(lines)
    jobs = [Job(t, e, seed) for seed in range(args.seeds) for e in entries for t in bench.tasks]
    jobs = [job for job in jobs if job.key not in done]
    started = time.perf_counter()
    for count, line in enumerate(run_jobs(jobs, args, bench), 1):
        with args.out.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        spent = time.perf_counter() - started
        left = spent / count * (len(jobs) - count) / 60
        print(f"{count}/{len(jobs)} trainings, about {left:.0f} minutes left", file=sys.stderr, flush=True)
    print(f"{len(done) + len(jobs)} trainings in {args.out}", file=sys.stderr)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status, 2 for a mistake in what was given."""
    return exit_status(run, argv)


if __name__ == "__main__":
    sys.exit(main())
