"""How strictly should accuracy limit the choice for shifted images? Half-splits of the validation images.

::

    python -m benchmarks.robustness_study.rule_splits --store runs/robustness_study

The robust runs of the study keep the scores of every training on the validation images and on their corrupted
copies. In each of ``--splits`` random halvings a rule chooses a recipe for each row, then a row, by one half
and the copies of its images; what it chose is scored on the other half and the copies of its images. Rules
differ in the standard errors within which an accuracy counts as high enough, and in the margin of the loss.
No test image is read.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.harness.command_line import StudyParser, exit_status, whole_number
from benchmarks.harness.results import RESULTS, write_result
from nas_peft.corruptions.catalogue import corruptions_for
from nas_peft.protocol.decision import Contestant, decide
from nas_peft.training.image_scores import ImageScores, ShiftedScores
from search_spaces import InputError
from search_spaces.streams import stream

OUT = RESULTS / "robust_rule.json"
FRACTIONS = (0.0, 0.5, 1.0, 2.0, 3.0)
MARGINS = (0.05, 0.1, 0.2)


class Trained(NamedTuple):
    """A training's row, its scores on the validation images and their copies, and whether it had AugMix."""

    row: str
    images: ImageScores
    augmix: bool


def robust_runs(store: Path) -> list[tuple[str, int, Path]]:
    """Task, seed and folder of each robust run in the study's store. Raises `InputError` if it has none."""
    found = []
    for folder in sorted((store / "runs").glob("*-robust-*")):
        task, _, seed = folder.name.partition("-robust-")[0].rpartition("-seed")
        found.append((task, int(seed), folder))
    if not found:
        raise InputError(
            f"there is no robust run in '{store}'; python -m benchmarks.robustness_study makes them"
        )
    return found


def trainings_of(run: Path) -> list[Trained]:
    """The trainings on the training set, those for averages and without a domain left out."""
    found = []
    for file in sorted((run / "trainings").glob("*.train.*.val.safetensors")):
        if ".init" not in file.name and ".without-" not in file.name:
            row, _, recipe = file.name.partition(".train.")
            found.append(Trained(row, ImageScores.read(file), "augmix" in recipe.split(".")))
    return found


def half(scores: ImageScores, at: NDArray[np.int64]) -> ImageScores:
    """The scores of some images and of their copies, which follow one another corruption by corruption."""
    count = len(scores.labels)
    copies = np.concatenate([at + k * count for k in range(len(corruptions_for("choice")))])
    logits, labels = scores.shifted
    return ImageScores.of(
        torch.from_numpy(scores.logits[at]),
        torch.from_numpy(scores.labels[at]),
        ShiftedScores(torch.from_numpy(logits[copies]), torch.from_numpy(labels[copies]), scores.margin),
    )


def contestants(trained: Sequence[Trained], at: NDArray[np.int64]) -> list[Contestant]:
    """The trainings as they take part in a choice by the images ``at``."""
    found = []
    for number, training in enumerate(trained):
        of_half = half(training.images, at)
        accuracy, loss = float(of_half.hits.mean()), float(of_half.losses.mean())
        found.append(Contestant.of(str(number), 0, [accuracy], [loss], [of_half]))
    return found


def chosen(trained: Sequence[Trained], rivals: Sequence[Contestant], fraction: float, margin: float) -> int:
    """The number of the training that the rule chooses: a recipe for each row, then a row."""
    by_row: dict[str, list[Contestant]] = defaultdict(list)
    for training, rival in zip(trained, rivals, strict=True):
        by_row[training.row].append(replace(rival, margin=margin))
    best = []
    for of_row in by_row.values():
        name = decide(of_row, robust_fraction=fraction).name
        best.append(next(rival for rival in of_row if rival.name == name))
    return int(decide(best, robust_fraction=fraction).name)


def replayed(run: Path, splits: int) -> dict[tuple[float, float], list[tuple[float, float]]]:
    """Accuracy on unchanged and on shifted images of each rule's choices, for every split of one run."""
    trained = trainings_of(run)
    count = len(trained[0].images.labels)
    rng = stream(0, "robust rule", run.name)
    found: dict[tuple[float, float], list[tuple[float, float]]] = defaultdict(list)
    for _ in range(splits):
        order = rng.permutation(count)
        rivals = contestants(trained, np.sort(order[: count // 2]))
        others = [half(training.images, np.sort(order[count // 2 :])) for training in trained]
        scores = [(float(one.hits.mean()), one.shifted_accuracy or 0.0) for one in others]
        for fraction in FRACTIONS:
            for margin in MARGINS:
                found[fraction, margin].append(scores[chosen(trained, rivals, fraction, margin)])
    return found


def table(lines: Sequence[Mapping[str, Any]]) -> list[str]:
    """Means over tasks of the means over their runs, in per cent, as lines of Markdown."""
    rows = [
        "| standard errors | margin of the loss | accuracy | shifted accuracy |",
        "|---:|---:|---:|---:|",
    ]
    for fraction in FRACTIONS:
        for margin in MARGINS:
            own = [line for line in lines if (line["fraction"], line["margin"]) == (fraction, margin)]
            means = []
            for measure in ("accuracy", "shifted_accuracy"):
                tasks: dict[str, list[float]] = defaultdict(list)
                for line in own:
                    tasks[line["task"]].append(line[measure])
                means.append(100 * fmean(fmean(values) for values in tasks.values()))
            rows.append(f"| {fraction:g} | {margin:g} | {means[0]:.2f} | {means[1]:.2f} |")
    return rows


def run(argv: Sequence[str]) -> None:
    """Replay all robust runs of the store, write and print the table. Raises `InputError`."""
    parser = StudyParser("rule_splits", "Replay the robust rule on halves of the validation images.")
    add = parser.add_argument
    add("--store", type=Path, default=Path("runs/robustness_study"), help="folder of the study's runs")
    add("--splits", type=whole_number, default=100, help="halvings of each run (%(default)s)")
    add("--out", type=Path, default=OUT, help="JSON file of the results")
    args = parser.parse_args(argv)
    runs = robust_runs(args.store)
    lines = []
    for task, seed, folder in runs:
        for (fraction, margin), scores in replayed(folder, args.splits).items():
            lines.append(
                {
                    "task": task,
                    "seed": seed,
                    "fraction": fraction,
                    "margin": margin,
                    "accuracy": fmean(accuracy for accuracy, _ in scores),
                    "shifted_accuracy": fmean(shifted for _, shifted in scores),
                }
            )
    write_result(args.out, {"splits": args.splits, "runs": len(runs), "lines": lines}, indent=1)
    print("\n".join(table(lines)))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status, 2 for a mistake in the arguments."""
    return exit_status(run, sys.argv[1:] if argv is None else argv)


if __name__ == "__main__":
    sys.exit(main())
