"""Half-splits of the recipe study's validation sets: which rule chooses recipes that do well elsewhere?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness.half_rules import (
    FRACTIONS,
    PRODUCT,
    RULES,
    SPLITS,
    Half,
    HalfRule,
    product_rule,
)
from benchmarks.harness.lines import read_lines
from benchmarks.harness.standard_error import mean_and_error
from nas_peft.protocol.decision import standard_error, tied
from nas_peft.settings.methods import METHODS
from search_spaces import Architecture, BackboneShape, InputError, count_params
from search_spaces.streams import stream

WAYS = ("recipes", "rows and recipes")
"""A rule chooses among the recipes of each row, or among all recipes of the rows that may be exported."""


@dataclass(frozen=True)
class Tried:
    """A training of the study: its row, its choices, and which validation images are right at which loss.

    The losses are calibrated, by temperatures that were fitted on other images of the validation set.
    """

    row: str
    choices: tuple[str, ...]
    params: int
    exportable: bool
    hits: NDArray[np.float64]
    losses: NDArray[np.float64]

    @property
    def name(self) -> str:
        """The row and the choices."""
        return f"{self.row} {'+'.join(self.choices)}"

    def half(self, numbers: NDArray[np.int64], trust: float = 0.0) -> Half:
        """The scores of the images of these numbers."""
        hits, losses = self.hits[numbers], self.losses[numbers]
        return Half(self.name, self.params, hits, losses, losses, trust)


def _default(halves: Sequence[Half]) -> str:
    return halves[0].name


def _unless_default(rule: HalfRule, errors: float) -> HalfRule:
    """The first of the halves, unless ``rule`` finds one whose loss is lower by more than the noise."""

    def choose(halves: Sequence[Half]) -> str:
        name = rule(halves)
        found = next(half for half in halves if half.name == name)
        lower = halves[0].calibrated - found.calibrated
        error = standard_error(halves[0].calibrated, found.calibrated)
        return found.name if lower.mean() > errors * error else halves[0].name

    return choose


def _trusted(halves: Sequence[Half]) -> str:
    """The product's rule, whose last step prefers what is trusted more to the lower loss."""
    near = {one.name for one in tied([half.contestant(half.calibrated) for half in halves])}
    return min(
        (half for half in halves if half.name in near),
        key=lambda half: (half.params, -half.trust, half.calibrated.mean(), half.name),
    ).name


LOWEST = "lowest calibrated loss"
TRUSTED = "the rule, then the recipe that is best on the other tasks"
RULES_OF_RECIPES: Mapping[str, HalfRule] = {
    "the default": _default,
    LOWEST: RULES[LOWEST],
    TRUSTED: _trusted,
    **{product_rule(fraction): RULES[product_rule(fraction)] for fraction in FRACTIONS},
    **{
        f"{name}, or the default unless that is {errors:g} s.e. worse": _unless_default(RULES[rule], errors)
        for name, rule in ((LOWEST, LOWEST), ("the rule", PRODUCT))
        for errors in (0.5, 1.0, 2.0)
    },
}
"""Rules; the default is the first contestant: ``vtab``, and LoRA by ``vtab`` among rows."""


def read_tried(file: Path, shape: BackboneShape) -> dict[str, list[Tried]]:
    """The trainings of each task that were scored on the validation set, with the first seed.

    The recipe ``vtab`` comes first. Raises `InputError` for a file without such lines.
    """
    found: dict[str, list[Tried]] = {}
    for line in read_lines(file):
        val = line.get("val")
        if line["kind"] != "training" or val is None or line["training"]["seed"] != 0:
            continue
        training = line["training"]
        modules = METHODS[training["method"]].trains == "modules"
        architecture = Architecture.from_dict(training["architecture"])
        tried = Tried(
            line["row"],
            tuple(line["choices"]),
            count_params(architecture, shape) if modules else 0,
            modules,
            np.array([float(hit) for hit in val["right"]]),
            np.array(val["losses"]),
        )
        found.setdefault(line["task"], []).append(tried)
    if not found:
        raise InputError(f"'{file}' has no trainings with scores of images; give the recipe study's lines")
    return {task: sorted(of, key=lambda tried: len(tried.choices) > 0) for task, of in found.items()}


def recipe_splits(tasks: Mapping[str, Sequence[Tried]]) -> dict[str, Any]:
    """Accuracy and calibrated loss on the other half of what each rule chooses.

    Gains on today's rule are in points and in loss, means over tasks with their standard error.
    """
    report: dict[str, Any] = {"splits": SPLITS}
    for way in WAYS:
        by_task = {name: _of_task(of, way, trust_beside(tasks, name)) for name, of in tasks.items()}
        report[way] = {}
        for rule in RULES_OF_RECIPES:
            scores = np.array([of[rule] for of in by_task.values()])
            gains = scores - np.array([of[PRODUCT] for of in by_task.values()])
            (points, error), (loss, loss_error) = (mean_and_error(list(gains[:, i])) for i in (0, 1))
            report[way][rule] = {
                "accuracy": float(scores[:, 0].mean()),
                "calibrated_loss": float(scores[:, 1].mean()),
                "gain": points,
                "gain_se": error,
                "loss_gain": loss,
                "loss_gain_se": loss_error,
                "by_task": {name: list(of[rule]) for name, of in by_task.items()},
            }
    return report


def trust_beside(tasks: Mapping[str, Sequence[Tried]], left_out: str) -> dict[str, float]:
    """The lead in accuracy of each training on the mean of its row: the median over the other tasks."""
    found: dict[str, list[float]] = {}
    for task, of in tasks.items():
        if task != left_out:
            for one in of:
                mean = fmean(float(other.hits.mean()) for other in of if other.row == one.row)
                found.setdefault(one.name, []).append(float(one.hits.mean()) - mean)
    return {name: median(leads) for name, leads in found.items()}


def _of_task(tried: Sequence[Tried], way: str, trust: Mapping[str, float]) -> dict[str, tuple[float, float]]:
    """Mean accuracy in per cent, and loss, on the other half by rule, over splits (and rows)."""
    groups = [[t for t in tried if t.exportable]]
    if way == "recipes":
        groups = [[t for t in tried if t.row == row] for row in dict.fromkeys(t.row for t in tried)]
    images = len(tried[0].hits)
    sums = {rule: np.zeros(2) for rule in RULES_OF_RECIPES}
    for split in range(SPLITS):
        order = stream(split, "half splits", images).permutation(images)
        chosen_on, judged_on = order[: images // 2], order[images // 2 :]
        for group in groups:
            halves = [one.half(chosen_on, trust.get(one.name, 0.0)) for one in group]
            by_name = {one.name: one for one in group}
            for rule, choose in RULES_OF_RECIPES.items():
                judged = by_name[choose(halves)]
                scores = (100 * judged.hits[judged_on].mean(), judged.losses[judged_on].mean())
                sums[rule] += np.array(scores) / (SPLITS * len(groups))
    return {rule: (float(total[0]), float(total[1])) for rule, total in sums.items()}
