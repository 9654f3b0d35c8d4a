"""Measure what it costs that the images of a batch belong to different tasks on one backbone.

::

    python -m benchmarks.task_switching
    python -m benchmarks.task_switching --backbone vit_small_patch16_224 --rounds 4

The tasks are subnets of different architectures, drawn at random from a space, each with its own head; their
weights are random, which costs as much as trained ones. Compared are, on images of the backbone's size:

* ``mixed``: one batch with equally many images of each task, in a random order, by `MultiTaskModel`;
* ``random``: the same with the task of each image drawn at random;
* ``single``: a batch of the same size of one task, by the subnet alone; another task in each round;
* ``sequence``: the same images as ``mixed``, the tasks one after another, each by its subnet alone.

``single in model`` and ``sequence in model`` are these two by `MultiTaskModel`. ``backbone`` and
``backbone in parts`` are a batch of the bare backbone, and its images in as many parts as there are tasks:
what a processor gains from the larger batch alone. A mixed batch gains that, and the time of the modules'
calls.

In each round every way runs once, in a newly drawn order; a ratio is the median over rounds, so that a busy
machine slows both sides. The report has seconds on the clock and of the process's threads on the processor;
other processes disturb the latter less, but a second thread that waits is not seen in it. Memory counts each
storage behind the tensors of the model once.

Prints a table and writes JSON (``--out``).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from benchmarks.harness.command_line import StudyParser, exit_status, whole_number
from benchmarks.harness.machine import machine, versions
from benchmarks.harness.results import RESULTS, write_result
from search_spaces import Architecture, InputError, load_space
from search_spaces.streams import stream
from supernet import (
    DEFAULT_BACKBONE,
    Backbone,
    MultiTaskModel,
    Preprocessing,
    Subnet,
    Supernet,
    create_backbone,
    random_backbone,
    save_subnet,
)

OUT = RESULTS / "task_switching.json"
BACKBONES = (DEFAULT_BACKBONE, "vit_small_patch16_224@64")
"""The shipped backbone, and the shapes of ViT-S/16 on images of 64 pixels: 224 take twelve times as long."""
WAYS = (
    "mixed",
    "random",
    "single",
    "sequence",
    "single in model",
    "sequence in model",
    "backbone",
    "backbone in parts",
)
COMPARED = {
    "mixed / single": ("single", "mixed"),
    "random / single": ("single", "random"),
    "mixed / single in model": ("single in model", "mixed"),
    "mixed / sequence": ("sequence", "mixed"),
    "mixed / sequence in model": ("sequence in model", "mixed"),
    "backbone / backbone in parts": ("backbone in parts", "backbone"),
}
"""Images per second of one way divided by those of another: the seconds to divide."""


@dataclass(frozen=True)
class Setting:
    """A backbone with its tasks and batches."""

    backbone: str
    image_size: int | None
    space: str
    tasks: int
    batch_size: int
    seed: int

    def make_backbone(self) -> Backbone:
        """The shipped backbone with its weights, or another of random weights."""
        size = None if self.image_size is None else (self.image_size, self.image_size)
        if self.backbone == DEFAULT_BACKBONE:
            return create_backbone(self.backbone, None, size)
        return random_backbone(self.backbone, self.seed, size)

    def architectures(self, depth: int) -> list[Architecture]:
        """A random architecture for each task."""
        rng, space = stream(self.seed, "architectures"), load_space(self.space, depth)
        return [space.sample(rng) for _ in range(self.tasks)]


def subnet_files(setting: Setting, backbone: Backbone, folder: Path) -> dict[str, Path]:
    """A subnet file for each task, with 2 to 20 classes and weights that all have an effect."""
    found = {}
    generator = torch.Generator().manual_seed(setting.seed)
    for number, architecture in enumerate(setting.architectures(backbone.depth)):
        classes = tuple(f"class {i}" for i in range(2 + 18 * number // max(1, setting.tasks - 1)))
        network = Supernet(backbone.model, architecture, len(classes), seed=number).eval()
        with torch.no_grad():
            for value in (*network.layers.parameters(), *network.head.parameters()):
                value.add_(0.02 * torch.randn(value.shape, generator=generator))
        name = f"task {number}"
        found[name] = folder / f"{number}.safetensors"
        save_subnet(Subnet(network, backbone, classes, Preprocessing.of(backbone.model), {}, {}), found[name])
    return found


def ways(model: MultiTaskModel, images: Tensor, seed: int) -> dict[str, Callable[[int], list[Tensor]]]:
    """Each way by name, as a function of the round's number, which decides the task of a single batch."""
    rng, names = stream(seed, "mixtures"), list(model.tasks)
    even = [names[i % len(names)] for i in rng.permutation(len(images))]
    drawn = [names[i] for i in rng.integers(0, len(names), len(images))]
    networks = {name: task.subnet.network for name, task in model.tasks.items()}
    bare = Supernet(model.backbone.model, Architecture.empty(model.backbone.depth), 10).eval()
    parts = {name: images[[i for i, other in enumerate(even) if other == name]] for name in names}

    def one(number: int) -> str:
        return names[number % len(names)]

    return {
        "mixed": lambda number: model(images, even),
        "random": lambda number: model(images, drawn),
        "single": lambda number: [networks[one(number)](images)],
        "sequence": lambda number: [networks[name](part) for name, part in parts.items()],
        "single in model": lambda number: model(images, [one(number)] * len(images)),
        "sequence in model": lambda number: [
            logits for name, part in parts.items() for logits in model(part, [name] * len(part))
        ],
        "backbone": lambda number: [bare(images)],
        "backbone in parts": lambda number: [bare(part) for part in parts.values()],
    }


def timed(work: Callable[[int], Any], number: int) -> dict[str, float]:
    """Seconds of a round's run on the clock, and of this process's threads on the processor."""
    clock, processor = time.perf_counter(), time.process_time()
    work(number)
    return {"clock": time.perf_counter() - clock, "processor": time.process_time() - processor}


@torch.inference_mode()
def measured_rounds(
    of_names: Mapping[str, Callable[[int], Any]], rounds: int, seed: int
) -> list[dict[str, dict[str, float]]]:
    """Seconds of each way in each round, after one run of each that does not count."""
    rng = stream(seed, "order of the ways")
    for work in of_names.values():
        work(0)
    lines = []
    for number in range(rounds):
        order = [list(of_names)[i] for i in rng.permutation(len(of_names))]
        line = {name: timed(of_names[name], number) for name in order}
        lines.append({name: line[name] for name in of_names})
    return lines


def ratios(lines: Sequence[Mapping[str, Mapping[str, float]]]) -> dict[str, dict[str, float]]:
    """Median over rounds of each comparison, by clock and by processor time."""
    return {
        name: {
            of: float(np.median([line[other][of] / line[own][of] for line in lines]))
            for of in ("clock", "processor")
        }
        for name, (other, own) in COMPARED.items()
    }


@torch.inference_mode()
def largest_difference(model: MultiTaskModel, images: Tensor) -> float:
    """Largest difference between the logits of a mixed batch and those of each subnet alone."""
    names = list(model.tasks)
    tasks = [names[i % len(names)] for i in range(len(images))]
    found = model(images, tasks)
    alone = [
        model.tasks[name].subnet.network(image[None])[0] for image, name in zip(images, tasks, strict=True)
    ]
    return max(float((a - b).abs().max()) for a, b in zip(found, alone, strict=True))


def memory(model: MultiTaskModel, files: Mapping[str, Path]) -> dict[str, float]:
    """Bytes of the model's tensors, of the backbone among them, and of the files."""

    def storages(*modules: torch.nn.Module) -> int:
        tensors = [t for module in modules for t in (*module.parameters(), *module.buffers())]
        found = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in tensors}
        return sum(found.values())

    everything = storages(model.backbone.model, *(t.subnet.network for t in model.tasks.values()))
    backbone, of_files = storages(model.backbone.model), sum(f.stat().st_size for f in files.values())
    return {
        "model_bytes": everything,
        "backbone_bytes": backbone,
        "file_bytes": of_files,
        "model / (backbone + files)": everything / (backbone + of_files),
    }


def measure(setting: Setting, rounds: int) -> dict[str, Any]:
    """All measurements of a setting, JSON-able."""
    backbone = setting.make_backbone()
    height, width = Preprocessing.of(backbone.model).input_size[1:]
    generator = torch.Generator().manual_seed(setting.seed)
    images = torch.randn(setting.batch_size, 3, height, width, generator=generator)
    with tempfile.TemporaryDirectory() as folder:
        files = subnet_files(setting, backbone, Path(folder))
        model = MultiTaskModel(backbone, files)
        lines = measured_rounds(ways(model, images, setting.seed), rounds, setting.seed)
        of_ways = {
            name: {of: float(np.median([line[name][of] for line in lines])) for of in ("clock", "processor")}
            for name in WAYS
        }
        return {
            "backbone": setting.backbone,
            "weights": backbone.weights,
            "image_size": [height, width],
            "tokens": backbone.shape.tokens,
            "space": setting.space,
            "batch_size": setting.batch_size,
            "seed": setting.seed,
            "tasks": [
                {"modules": task.architecture.describe(), "classes": len(task.classes), "params": task.params}
                for task in model.tasks.values()
            ],
            "images_per_second": {name: setting.batch_size / of_ways[name]["clock"] for name in WAYS},
            "median_seconds": of_ways,
            "ratios_of_images_per_second": ratios(lines),
            "largest_difference": largest_difference(model, images[: 2 * setting.tasks]),
            "memory": memory(model, files),
            "rounds": lines,
        }


def as_table(found: Sequence[Mapping[str, Any]]) -> Table:
    """Table with a column for each measurement: ratios by the clock, and in brackets by processor time."""
    table = Table(title="images per second of one way, as a multiple of another's")
    table.add_column("")
    for m in found:
        table.add_column(f"{m['backbone']} at {m['image_size'][0]}", justify="right")
    for name in COMPARED:
        each = [m["ratios_of_images_per_second"][name] for m in found]
        table.add_row(name, *(f"{ratio['clock']:.2f} ({ratio['processor']:.2f})" for ratio in each))
    memory_name = "model / (backbone + files)"
    table.add_row(f"memory: {memory_name}", *(f"{m['memory'][memory_name]:.3f}" for m in found))
    return table


def name_and_side(text: str) -> tuple[str, int | None]:
    """A backbone's name and the side of its images in pixels, from ``NAME`` or ``NAME@SIDE``."""
    name, _, side = text.partition("@")
    try:
        return name, whole_number(side) if "@" in text else None
    except argparse.ArgumentTypeError as error:
        raise InputError(f"--backbone '{text}': {error}; give NAME or NAME@SIDE") from error


def run(argv: Sequence[str]) -> None:
    """Measure the backbones of the command line, print and write. Raises `InputError`."""
    parser = StudyParser("task_switching", str(__doc__).splitlines()[0])
    add = parser.add_argument
    add(
        "--backbone",
        action="append",
        help="timm name, or NAME@SIDE for images of other pixels than its own; repeat for more "
        f"({' and '.join(BACKBONES)})",
    )
    add("--space", default="large", help="search space of the architectures (%(default)s)")
    add("--tasks", type=whole_number, default=8, help="number of tasks (%(default)s)")
    add("--batch-size", type=whole_number, default=64, help="images of a batch (%(default)s)")
    add("--rounds", type=whole_number, default=24, help="times that each way is timed (%(default)s)")
    add("--threads", type=whole_number, default=2, help="threads of torch (%(default)s)")
    add("--seed", type=int, default=0, help="seed of architectures, images and mixtures (%(default)s)")
    add("--out", type=Path, default=OUT, help="JSON file to write (benchmarks/results/task_switching.json)")
    args = parser.parse_args(argv)
    if args.batch_size % args.tasks:
        raise InputError(
            f"--batch-size {args.batch_size} is not divisible by {args.tasks} tasks; give a multiple"
        )
    if args.out.is_dir():
        raise InputError(f"--out '{args.out}' is a folder; give the name of a .json file")
    before = torch.get_num_threads()
    torch.set_num_threads(args.threads)
    try:
        rest = (args.space, args.tasks, args.batch_size, args.seed)
        named = [name_and_side(text) for text in args.backbone or BACKBONES]
        found = [measure(Setting(name, side, *rest), args.rounds) for name, side in named]
        setup = {"machine": machine(), "versions": versions()}
    finally:
        torch.set_num_threads(before)
    Console().print(as_table(found))
    write_result(args.out, setup | {"measurements": found}, indent=1)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status, 2 for a mistake in the arguments."""
    return exit_status(run, argv)


if __name__ == "__main__":
    sys.exit(main())
