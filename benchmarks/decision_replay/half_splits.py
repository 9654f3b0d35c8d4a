"""Half-splits of validation sets: rules choose on one half, and are judged by the accuracy on the other."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness.half_rules import RULES, SPLITS, Half
from benchmarks.harness.standard_error import mean_and_error
from nas_peft.training.image_scores import ImageScores
from nas_peft.training.temperature import cross_fitted_losses
from search_spaces import InputError
from search_spaces.streams import stream


@dataclass(frozen=True)
class Trained:
    """A finished training with the scores of the validation images."""

    key: str
    row: str
    group: str
    params: int
    images: ImageScores


TODAY = "lowest loss"
WAYS = ("all", "exportable", "rates")


def read_run(folder: Path) -> list[Trained]:
    """The trainings of a finished run that were scored on the validation set, with the first seed.

    Raises `InputError` for a folder without a finished run, and for a run that kept no scores of images.
    """
    results = folder / "results.json"
    if not results.is_file():
        raise InputError(f"'{folder}' is not a finished run: it has no results.json; give --runs its folder")
    result = json.loads(results.read_text(encoding="utf-8"))
    rows = {row["name"]: row for row in result["rows"] if not row["averaging"]}
    found = []
    for file in sorted((folder / "trainings").glob("*.train.*.json")):
        record = json.loads(file.read_text(encoding="utf-8"))
        row = rows.get(record["name"])
        if row is None or record["seed"] != result["config"]["seed"] or record.get("stopped_at"):
            continue
        scores = file.with_suffix(".val.safetensors")
        if not scores.is_file():
            raise InputError(
                f"'{scores}' is missing: the run kept no scores of images; run it again with this version"
            )
        images = ImageScores(scores.read_bytes())
        found.append(Trained(file.stem, row["name"], row["group"], row["module_params"], images))
    if len({trained.row for trained in found}) < 2:
        raise InputError(f"'{folder}' has trainings of fewer than two rows; nothing can be chosen there")
    return found


def half_splits(runs: Mapping[str, Sequence[Trained]]) -> dict[str, Any]:
    """Accuracy on the other half of what each rule chooses, minus today's rule, in points.

    In each split, rules choose among all trainings of a run (``all``), among those of rows that may be
    exported (``exportable``), and among those of each row, which differ in their learning rate (``rates``;
    mean over rows). The standard error is over
    runs, because the splits of a run share its images and trainings. ``by_run`` has the means of each run,
    ``trainings`` each training on all of the validation images.
    """
    lines = [_line(name, trained) for name, of in runs.items() for trained in of]
    found: dict[str, Any] = {"splits": SPLITS, "trainings": lines}
    for way in WAYS:
        by_run = {name: _of_run(name, of, way) for name, of in runs.items()}
        found[way] = {}
        for rule in RULES:
            gains = [of[rule] - of[TODAY] for of in by_run.values()]
            mean, error = mean_and_error(gains)
            found[way][rule] = {
                "accuracy": float(np.mean([of[rule] for of in by_run.values()])),
                "gain_on_lowest_loss": mean,
                "gain_se": error if len(gains) > 1 else None,
                "by_run": {name: of[rule] for name, of in by_run.items()},
            }
    return found


def _line(run: str, trained: Trained) -> dict[str, Any]:
    """A training on all validation images."""
    return {
        "run": run,
        "training": trained.key,
        "group": trained.group,
        "params": trained.params,
        "images": len(trained.images.labels),
        "accuracy": float(trained.images.hits.mean()),
        "loss": float(trained.images.losses.mean()),
        "calibrated_loss": float(trained.images.calibrated_losses.mean()),
    }


def _of_run(name: str, trainings: Sequence[Trained], way: str) -> dict[str, float]:
    """Mean accuracy on the other half by rule, over splits (and rows), in per cent."""
    groups = [[t for t in trainings if way == "all" or t.group != "baseline"]]
    if way == "rates":
        rows = {trained.row for trained in trainings}
        groups = [[t for t in trainings if t.row == row] for row in sorted(rows)]
        groups = [group for group in groups if len(group) > 1]
        if not groups:
            raise InputError(f"the run '{name}' has one learning rate for each row; run it with --lr-grid")
    images = len(trainings[0].images.labels)
    sums = dict.fromkeys(RULES, 0.0)
    for split in range(SPLITS):
        order = stream(split, "half splits", images).permutation(images)
        chosen_on, judged_on = order[: images // 2], order[images // 2 :]
        halves = {trained.key: _half(trained, chosen_on) for trained in trainings}
        for rule, choose in RULES.items():
            for group in groups:
                key = choose([halves[trained.key] for trained in group])
                judged = next(trained for trained in group if trained.key == key)
                sums[rule] += 100 * float(judged.images.hits[judged_on].mean()) / len(groups)
    return {rule: total / SPLITS for rule, total in sums.items()}


def _half(trained: Trained, numbers: NDArray[np.int64]) -> Half:
    images = trained.images
    return Half(
        trained.key,
        trained.params,
        images.hits[numbers].astype(np.float64),
        images.losses[numbers],
        cross_fitted_losses(images.logits[numbers], images.labels[numbers]),
    )
