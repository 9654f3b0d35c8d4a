"""Measure a backbone by linear probing, beside the same architecture with random weights.

::

    python -m benchmarks.backbone_quality --task digits --task FOLDER

The backbone is frozen, and a linear head on its pooled features is trained by `supernet.train`: AdamW,
batches of 64, 100 epochs, weight decay 1e-4, cosine decay after 10% warm-up, no augmentation.

For each task and backbone, heads are trained on the training set at each of six learning rates with the
first seed; the rate with the highest validation accuracy is chosen (ties: lower validation loss). Then the
head is trained on training and validation set together, with every seed. The test set is opened once, when
the learning rates of both backbones are chosen. Each seed of the pretrained backbone gives another head and
another order of images; each seed of the control gives other random weights too.

Prints a table and writes JSON (``--out``); progress is on standard error. The accuracy on held-out images of
the pretraining is not measured, but read from the record that ``examples/pretrain_backbone.py`` leaves in the
weights file. With the shipped backbone a task of 1,000 training images takes about a minute on two cores.
"""

from __future__ import annotations

import json
import shlex
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from safetensors import SafetensorError, safe_open
from torch import nn

from benchmarks.harness.command_line import StudyParser, exit_status, whole_number
from benchmarks.harness.machine import machine, versions
from benchmarks.harness.results import RESULTS, write_result
from nas_peft.data import ImageDataset, Part, load_dataset
from search_spaces import Architecture, InputError
from supernet import (
    DEFAULT_BACKBONE,
    Backbone,
    Constant,
    Evaluation,
    Preprocessing,
    Recipe,
    Supernet,
    create_backbone,
    evaluate,
    random_backbone,
    train,
)

LEARNING_RATES = (1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1)
EPOCHS = 100
OUT = RESULTS / "backbone_quality.json"


def train_head(backbone: Backbone, part: Part, num_classes: int, recipe: Recipe, seed: int) -> Supernet:
    """Train a head on the backbone without modules, and return both."""
    architecture = Architecture.empty(backbone.depth)
    network = Supernet(backbone.model, architecture, num_classes, seed)
    train(
        network,
        part.images,
        part.labels,
        preprocessing=Preprocessing.of(backbone.model),
        chooser=Constant(architecture),
        recipe=recipe,
        seed=seed,
        trainable="head",
    )
    return network


def score(network: Supernet, part: Part) -> Evaluation:
    """Losses and hits of a network on the images of a part."""
    return evaluate(network, part.images, part.labels, preprocessing=Preprocessing.of(network.backbone))


def best_learning_rate(scores: Mapping[float, Evaluation]) -> float:
    """Learning rate with the highest accuracy; of equal ones that with the lowest loss."""
    return max(scores, key=lambda lr: (scores[lr].accuracy, -scores[lr].loss))


def measure(
    dataset: ImageDataset, contestants: Mapping[str, Sequence[Backbone]], recipe: Recipe
) -> dict[str, Any]:
    """Probe the contestants, each with a backbone for every seed, on one task; opens the test part."""
    classes = len(dataset.classes)
    report: dict[str, Any] = {"task": dataset.name, "classes": classes, "fingerprint": dataset.fingerprint}
    report |= {key: dataset.record[key] for key in ("counts", "splits")}
    learning_rates: dict[str, float] = {}
    networks: dict[str, list[Supernet]] = {}
    for name, backbones in contestants.items():
        started = time.perf_counter()
        scores: dict[float, Evaluation] = {}
        for lr in LEARNING_RATES:
            network = train_head(backbones[0], dataset.train, classes, replace(recipe, lr=lr), seed=0)
            scores[lr] = score(network, dataset.val)
        learning_rates[name] = best_learning_rate(scores)
        chosen = replace(recipe, lr=learning_rates[name])
        networks[name] = [
            train_head(backbone, dataset.train_val, classes, chosen, seed)
            for seed, backbone in enumerate(backbones)
        ]
        report[name] = {
            "lr": learning_rates[name],
            "validation_accuracy": {str(lr): scores[lr].accuracy for lr in LEARNING_RATES},
            "training_seconds": time.perf_counter() - started,
        }
        edge = " (the highest tried: more might do better)" if chosen.lr == max(LEARNING_RATES) else ""
        print(f"{dataset.name}: {name} trained, learning rate {chosen.lr:g}{edge}", file=sys.stderr)
    test = dataset.test.open(f"linear probe, learning rates {json.dumps(learning_rates)}")
    for name in contestants:
        accuracies = [score(network, test).accuracy for network in networks[name]]
        report[name] |= {
            "test_accuracy": accuracies,
            "mean": statistics.mean(accuracies),
            "std": statistics.stdev(accuracies) if len(accuracies) > 1 else None,
        }
    return report


def pretraining_record(weights: Path | None, model: nn.Module) -> dict[str, Any] | None:
    """Record of the pretraining in the weights file, or None for weights without such a record."""
    file = weights or getattr(model, "pretrained_cfg", {}).get("file")
    if file is None or Path(file).suffix != ".safetensors":
        return None
    try:
        with safe_open(file, framework="pt") as opened:
            metadata = opened.metadata() or {}
        last = json.loads(metadata["history"])[-1]
        recipe = json.loads(metadata["recipe"])
        return {
            "data": recipe["data"],
            "classes": len(json.loads(metadata["classes"])),
            "epochs": last["epoch"],
            "held_out": recipe["held_out"],
            "held_out_accuracy": last["held_out_accuracy"],
        }
    except (SafetensorError, OSError, LookupError, TypeError, json.JSONDecodeError):
        return None


def recorded_command(argv: Sequence[str]) -> str:
    """Command line as reports record it; of an absolute path only the last part."""
    words = []
    for word in argv:
        option, equals, value = word.rpartition("=")
        words.append(option + equals + (Path(value).name if Path(value).is_absolute() else value))
    return shlex.join(["python", "-m", "benchmarks.backbone_quality", *words])


def as_table(report: Mapping[str, Any]) -> Table:
    """Table of test accuracies in per cent, mean and standard deviation over seeds."""

    def percent(result: Mapping[str, Any]) -> str:
        std = "" if result["std"] is None else f" ± {100 * result['std']:.1f}"
        return f"{100 * result['mean']:.1f}{std}"

    backbone = report["backbone"]
    table = Table(
        title=f"Linear probe on {backbone['name']}: test accuracy in %, {len(report['seeds'])} seeds",
        caption="its pretraining: no record in the weights",
    )
    if record := backbone["pretraining"]:
        table.caption = (
            f"its pretraining: {100 * record['held_out_accuracy']:.1f}% of {record['held_out']} held-out "
            f"images right, {record['classes']} classes, {record['epochs']} epochs"
        )
    table.add_column("Task")
    for header in ("Classes", "Train+val", "Test", "Pretrained", "Random", "Difference"):
        table.add_column(header, justify="right")
    for task in report["tasks"]:
        counts, pretrained, control = task["counts"], task["pretrained"], task["random"]
        difference = f"{100 * (pretrained['mean'] - control['mean']):+.1f}"
        sizes = (task["classes"], counts["train"] + counts["val"], counts["test"])
        table.add_row(task["task"], *map(str, sizes), percent(pretrained), percent(control), difference)
    return table


def run(argv: Sequence[str]) -> None:
    """Measure the backbone of the command line, print and write. Raises `InputError`."""
    parser = StudyParser(
        "backbone_quality", "Measure a backbone by linear probing, beside the same architecture untrained."
    )
    add = parser.add_argument
    add("--task", action="append", help="data set: a folder or a name; repeat for more (digits)")
    add("--backbone", default=DEFAULT_BACKBONE, help="timm name (%(default)s)")
    add("--backbone-weights", type=Path, help="file to read instead of the name's own weights")
    add("--seeds", type=whole_number, default=3, help="seeds of the final heads (%(default)s)")
    add("--epochs", type=whole_number, default=EPOCHS, help="epochs of each training of a head (%(default)s)")
    add("--out", type=Path, default=OUT, help="JSON file to write (benchmarks/results/backbone_quality.json)")
    args = parser.parse_args(argv)
    if args.out.is_dir():
        raise InputError(f"--out '{args.out}' is a folder; give the name of a .json file")

    pretrained = create_backbone(args.backbone, args.backbone_weights)
    contestants = {
        "pretrained": [pretrained] * args.seeds,
        "random": [random_backbone(args.backbone, seed) for seed in range(args.seeds)],
    }
    recipe = Recipe(epochs=args.epochs, lr=LEARNING_RATES[0])
    to_tensor = Preprocessing.of(pretrained.model).to_tensor
    report = {
        "command": recorded_command(argv),
        "machine": machine(),
        "versions": versions(),
        "backbone": {
            "name": pretrained.name,
            "weights": pretrained.weights,
            "digest": pretrained.digest,
            "params": pretrained.params,
            "pretraining": pretraining_record(args.backbone_weights, pretrained.model),
        },
        "seeds": list(range(args.seeds)),
        "recipe": {**recipe.to_dict(), "lr": list(LEARNING_RATES)},
        "tasks": [
            measure(load_dataset(task, to_tensor=to_tensor), contestants, recipe)
            for task in args.task or ["digits"]
        ],
    }
    Console().print(as_table(report))
    write_result(args.out, report, indent=2)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status, 2 for a mistake in the arguments."""
    return exit_status(run, argv)


if __name__ == "__main__":
    sys.exit(main())
