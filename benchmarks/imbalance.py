"""Train LoRA everywhere on a long tail by each class balance, and measure it on balanced images.

::

    python -m benchmarks.imbalance --seeds 3 --out benchmarks/results/imbalance.json

The training images of digits (``--task``) are thinned out: of C classes the k-th keeps the share
r^(-k / (C - 1)) of the images that the smallest class has, so the first has r times as many as the last
(``--ratio``, 20). The seed decides which class is first. Validation and test set keep all their images.

A training is what ``nas-peft search`` does with a single method: the head alone for 20 epochs at 3e-3 on
cached features, then modules and head for 16 epochs (``--epochs``) at a peak learning rate of 5e-3, batches
of 64, no augmentation. Nothing is chosen by the test set.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import torch
from torch import Tensor

from benchmarks.harness.command_line import StudyParser, exit_status, whole_number
from benchmarks.harness.machine import machine, versions
from benchmarks.harness.opened_task import OpenedTask, load_tasks
from benchmarks.harness.recipes import HEAD, LR
from benchmarks.harness.results import RESULTS, write_result
from nas_peft.run.single_methods import lora_everywhere
from nas_peft.training.head_retraining import retrain_head
from nas_peft.training.metrics import evaluation_recalls, evaluation_score
from nas_peft.training.trainings import probe_head
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
    train,
)
from supernet.class_balance import CLASS_BALANCES

RANK = 3
TAIL = 3
"""The number of smallest classes whose recall is shown."""


def long_tail(labels: Tensor, ratio: float, order: Sequence[int], seed: int) -> Tensor:
    """Indices of the images that a long tail keeps: of ``order[0]`` most, of ``order[-1]`` a ``ratio``-th.

    The sizes fall exponentially from that of the smallest class in ``labels (N,)``; every class keeps an
    image.
    """
    most = int(torch.bincount(labels).min())
    kept = []
    for place, label in enumerate(order):
        size = max(1, round(most * ratio ** (-place / (len(order) - 1))))
        of_class = (labels == label).nonzero().flatten()
        kept.append(of_class[stream(seed, "long tail", label).permutation(len(of_class))[:size]])
    return torch.cat(kept).sort().values


def trained(
    backbone: Backbone,
    preprocessing: Preprocessing,
    task: OpenedTask,
    recipe: Recipe,
    ratio: float,
    seed: int,
) -> dict[str, Any]:
    """Scores of one training on a long tail, on the validation and on the test set."""
    order = stream(seed, "order of classes").permutation(task.classes).tolist()
    rows = long_tail(task.train.labels, ratio, order, seed)
    part = task.train.take(rows)
    architecture = lora_everywhere(RANK, backbone.shape)
    network = Supernet(backbone.model, architecture, task.classes, seed=stream_seed(seed, "weights"))
    head = replace(HEAD, class_balance=recipe.class_balance)
    probe_head(network, part.labels, task.features[rows], preprocessing, head, seed)
    curve = train(
        network,
        part.images,
        part.labels,
        preprocessing=preprocessing,
        chooser=Constant(architecture),
        recipe=recipe,
        seed=seed,
    )
    retrain_head(network, architecture, part, recipe, preprocessing, seed, curve=curve)
    found: dict[str, Any] = {"balance": recipe.class_balance, "seed": seed, "images": len(part)}
    for name, scored in (("val", task.val), ("test", task.test)):
        result = evaluate(network, scored.images, scored.labels, preprocessing=preprocessing)
        recalls = evaluation_recalls(result, task.classes)
        tail = [recall for label in order[-TAIL:] if (recall := recalls[label]) is not None]
        found[name] = {
            "accuracy": result.accuracy,
            "balanced_accuracy": evaluation_score("balanced-accuracy", result),
            "macro_f1": evaluation_score("macro-f1", result),
            "log_loss": result.loss,
            "tail_recall": fmean(tail) if tail else None,
        }
    return found | {"seconds": round(curve.seconds, 2)}


def table(found: Sequence[dict[str, Any]]) -> str:
    """A Markdown table: means over seeds with standard deviations."""
    lines = [
        "| class balance | val bal % | val loss | test bal % | test F1 % | test loss | "
        f"test recall of the {TAIL} smallest % |",
        "|---|---|---|---|---|---|---|",
    ]
    for balance in dict.fromkeys(one["balance"] for one in found):
        of = [one for one in found if one["balance"] == balance]
        cells = [
            _cell([one["val"]["balanced_accuracy"] for one in of], 100, 1),
            _cell([one["val"]["log_loss"] for one in of], 1, 3),
            _cell([one["test"]["balanced_accuracy"] for one in of], 100, 1),
            _cell([one["test"]["macro_f1"] for one in of], 100, 1),
            _cell([one["test"]["log_loss"] for one in of], 1, 3),
            _cell([one["test"]["tail_recall"] for one in of], 100, 1),
        ]
        lines.append(f"| {balance} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(values: Sequence[float], factor: float, digits: int) -> str:
    spread = f" ± {factor * stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{factor * fmean(values):.{digits}f}{spread}"


def run(argv: Sequence[str]) -> None:
    """Train by each class balance with each seed, write the results, print the table. Raises `InputError`."""
    parser = StudyParser("imbalance", "Train LoRA everywhere on a long tail by each class balance.")
    add = parser.add_argument
    add("--task", default="digits", help="data set: a folder or a name (%(default)s)")
    add("--backbone", default=DEFAULT_BACKBONE, help="timm name (%(default)s)")
    add("--seeds", type=whole_number, default=3, help="trainings by each class balance (%(default)s)")
    add("--epochs", type=whole_number, default=16, help="epochs of each training (%(default)s)")
    add("--ratio", type=_ratio, default=20.0, help="images of the largest class for one of the smallest (20)")
    add(
        "--out",
        type=Path,
        default=RESULTS / "imbalance.json",
        help="results (benchmarks/results/imbalance.json)",
    )
    args = parser.parse_args(argv)
    backbone = create_backbone(args.backbone)
    preprocessing = Preprocessing.of(backbone.model)
    (task,) = load_tasks([args.task], backbone, preprocessing).values()
    found = []
    for seed in range(args.seeds):
        for balance in CLASS_BALANCES:
            recipe = Recipe(args.epochs, LR, class_balance=balance)
            found.append(trained(backbone, preprocessing, task, recipe, args.ratio, seed))
            print(f"{balance}, seed {seed}: {found[-1]['seconds']} s", file=sys.stderr, flush=True)
    content = {
        "task": task.name,
        "fingerprint": task.fingerprint,
        "ratio": args.ratio,
        "recipe": Recipe(args.epochs, LR).to_dict(),
        "head": HEAD.to_dict(),
        "machine": machine(),
        "versions": versions(),
        "trainings": found,
    }
    write_result(args.out, content, 1)
    print(table(found))


def _ratio(text: str) -> float:
    try:
        ratio = float(text)
    except ValueError:
        ratio = 0.0
    if not 1 <= ratio < float("inf"):
        raise argparse.ArgumentTypeError(f"'{text}' is not a number from 1")
    return ratio


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status, 2 for a mistake in the arguments."""
    return exit_status(run, argv)


if __name__ == "__main__":
    sys.exit(main())
