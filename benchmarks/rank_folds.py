"""LoRA everywhere at several ranks, compared by cross-validation; test sets stay sealed.

::

    python -m benchmarks.rank_folds --task ../shared/data/dtd10 --epochs 4
    python -m benchmarks.rank_folds --task digits --epochs 8
    python -m benchmarks.rank_folds --finished

200 validation images do not tell ranks apart. Five folds (``--folds``) of training and validation images
together, stratified by class, score every one of the 1,000 images once, by a model that has not seen it.

A training is what ``nas-peft search`` does with a single method: the head alone for 20 epochs at 3e-3, then
modules and head for ``--epochs``, at each of ``--rates``, with ``--module-scale``. Every finished training is
a line of ``--lines``, where an interrupted command goes on.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from statistics import fmean
from typing import Any

from benchmarks.harness.command_line import StudyParser, exit_status, whole_number
from benchmarks.harness.folds import folds_of, scored_on_fold
from benchmarks.harness.lines import append_line, read_lines
from benchmarks.harness.recipes import HEAD
from benchmarks.harness.results import RESULTS
from nas_peft.data import load_dataset
from nas_peft.run.single_methods import lora_everywhere
from search_spaces import InputError
from supernet import (
    DEFAULT_BACKBONE,
    Backbone,
    Preprocessing,
    create_backbone,
)

SEED = 0
Line = Mapping[str, Any]


def lines_of(
    task: str,
    backbone: Backbone,
    preprocessing: Preprocessing,
    wanted: Sequence[Line],
    folds: int,
) -> Iterator[dict[str, Any]]:
    """Train and score each of ``wanted``, which names fold, rank, rate, epochs and module scale."""
    data = load_dataset(task, to_tensor=preprocessing.to_tensor)
    images = data.train_val
    fold = folds_of(images.labels, folds)
    for job in wanted:
        architecture = lora_everywhere(job["rank"], backbone.shape)
        recipe = replace(HEAD, epochs=job["epochs"], lr=job["lr"], module_scale=job["module_scale"])
        left_out = fold == job["fold"]
        classes = len(data.classes)
        result = scored_on_fold(backbone, preprocessing, images, classes, left_out, architecture, recipe)
        found = {"images": int(left_out.sum()), "accuracy": result.accuracy, "loss": result.loss}
        yield {"task": Path(task).name, **job, **found}


def recipe_of(line: Line) -> tuple[float, int, float]:
    """Rate, epochs and module scale of a line; the oldest lines have none, which is 1."""
    return line["lr"], line["epochs"], line.get("module_scale", 1.0)


def table(lines: Sequence[Line]) -> list[str]:
    """A Markdown line for each task and recipe: accuracy and loss of each rank over all folds."""
    ranks = sorted({line["rank"] for line in lines})
    rows = [
        "| task | rate | epochs | scale | images | " + " | ".join(f"rank {rank}" for rank in ranks) + " |",
        "|---|---:|---:|---:|---:|" + "---:|" * len(ranks),
    ]
    for task, recipe in dict.fromkeys((line["task"], recipe_of(line)) for line in lines):
        cells, images = [], 0
        for rank in ranks:
            of = [
                line
                for line in lines
                if (line["task"], recipe_of(line), line["rank"]) == (task, recipe, rank)
            ]
            images = max(images, sum(line["images"] for line in of))
            cells.append(f"{_mean(of, 'accuracy') * 100:.1f} ({_mean(of, 'loss'):.3f})" if of else "")
        lr, epochs, scale = recipe
        rows.append(f"| {task} | {lr:g} | {epochs} | {scale:g} | {images:,} | {' | '.join(cells)} |")
    return rows


def gains(lines: Sequence[Line]) -> list[str]:
    """A Markdown line for each task: what choosing by one fold, by two and so on gains, in points.

    A choice takes the highest accuracy over some of the folds, of all ranks and rates that were trained on
    every fold for the same epochs, and then the lower loss. Its accuracy on the folds that it did not see is
    set against the mean of all contestants there, and averaged over all ways to pick the folds.
    """
    folds = sorted({line["fold"] for line in lines})
    counts = range(1, len(folds))
    rows = [f"| task | {' | '.join(map(str, counts))} |", "|---|" + "---:|" * len(counts)]
    found: list[list[float]] = []
    for task, epochs in dict.fromkeys((line["task"], line["epochs"]) for line in lines):
        of_task: dict[tuple[int, tuple[float, int, float]], dict[int, Line]] = {}
        for line in lines:
            if (line["task"], line["epochs"]) == (task, epochs):
                of_task.setdefault((line["rank"], recipe_of(line)), {})[line["fold"]] = line
        rivals = [by_fold for by_fold in of_task.values() if set(by_fold) == set(folds)]
        if len(rivals) > 1:
            found.append([fmean(_gain(rivals, seen) for seen in combinations(folds, n)) for n in counts])
            rows.append(f"| {task} | " + " | ".join(f"{100 * gain:+.2f}" for gain in found[-1]) + " |")
    means = [fmean(of_count) for of_count in zip(*found, strict=True)]
    return [*rows, "| mean | " + " | ".join(f"{100 * gain:+.2f}" for gain in means) + " |"]


def _gain(rivals: Sequence[Mapping[int, Line]], seen: Sequence[int]) -> float:
    """What the choice by the folds ``seen`` gains on the others over the mean of all ``rivals``."""

    def accuracy(of: Mapping[int, Line], *, by: bool) -> float:
        return _mean([line for fold, line in of.items() if (fold in seen) is by], "accuracy")

    def loss(of: Mapping[int, Line]) -> float:
        return _mean([of[fold] for fold in seen], "loss")

    best = max(rivals, key=lambda of: (round(accuracy(of, by=True), 9), -loss(of)))
    return accuracy(best, by=False) - fmean(accuracy(of, by=False) for of in rivals)


def _mean(lines: Sequence[Line], name: str) -> float:
    """The mean over images, which every fold has another number of."""
    return float(sum(line[name] * line["images"] for line in lines) / sum(line["images"] for line in lines))


def run(argv: Sequence[str]) -> None:
    """Train what is missing, then print the table of all lines. Raises `InputError`."""
    parser = StudyParser("rank_folds", "Compare ranks of LoRA everywhere by cross-validation.")
    add = parser.add_argument
    add("--task", default="digits", help="data set: a folder or a name (%(default)s)")
    add("--backbone", default=DEFAULT_BACKBONE, help="timm name (%(default)s)")
    add("--ranks", default="3,8", help="ranks of LoRA, separated by commas (%(default)s)")
    add("--rates", default="1e-2,3e-3", help="peak learning rates, separated by commas (%(default)s)")
    add("--epochs", type=whole_number, default=4, help="epochs of each training (%(default)s)")
    add("--module-scale", type=float, default=1.0, help="module scale, as in nas-peft search (%(default)s)")
    add("--folds", type=whole_number, default=5, help="folds, all of which are scored (%(default)s)")
    add("--lines", type=Path, default=RESULTS / "rank_folds.jsonl", help="file of finished trainings")
    add("--finished", action="store_true", help="train nothing: the table of the lines")
    args = parser.parse_args(argv)
    if args.folds < 2:
        raise InputError("--folds is 1; give at least 2, as a fold is scored by what the others train")
    lines = read_lines(args.lines)
    if not args.finished:
        name = Path(args.task).name
        known = {(line["task"], line["fold"], line["rank"], recipe_of(line)) for line in lines}
        scale = args.module_scale
        wanted = [
            {"fold": fold, "rank": rank, "lr": lr, "epochs": args.epochs, "module_scale": scale}
            for fold in range(args.folds)
            for rank in map(int, args.ranks.split(","))
            for lr in map(float, args.rates.split(","))
            if (name, fold, rank, (lr, args.epochs, scale)) not in known
        ]
        if wanted:
            backbone = create_backbone(args.backbone)
            preprocessing = Preprocessing.of(backbone.model)
            for line in lines_of(args.task, backbone, preprocessing, wanted, args.folds):
                append_line(args.lines, line)
                lines.append(line)
                print(f"{name}, fold {line['fold']}: rank {line['rank']}", file=sys.stderr, flush=True)
    print("\n".join(table(lines)))
    if args.finished:
        print("\nGain of choosing by so many folds, points on the others:\n")
        print("\n".join(gains(lines)))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status, 2 for a mistake in the arguments."""
    return exit_status(run, argv)


if __name__ == "__main__":
    sys.exit(main())
