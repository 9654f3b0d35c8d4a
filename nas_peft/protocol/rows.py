"""The rows of the final table, searched subnets beside single methods and baselines, and the choice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import Literal

from nas_peft.settings.baselines import BASELINES, NOAH
from nas_peft.settings.methods import METHODS, Method
from nas_peft.settings.training_config import TrainingConfig
from nas_peft.training.training import Training
from nas_peft.training.training_record import TrainingRecord
from search_spaces import KINDS, Architecture
from supernet import Recipe


@dataclass(frozen=True)
class Row:
    """One line of the comparison.

    ``name`` is its name in files (``candidate-17``, ``lora_rank-2``, ``linear``); ``group`` says what it
    is: a subnet that the search found, a single method within the budget, or a baseline without one.
    """

    name: str
    group: Literal["searched", "single", "baseline"]
    method: Method
    architecture: Architecture

    @property
    def label(self) -> str:
        """What the table calls it."""
        if self.group == "searched":
            return "searched subnet"
        if self.group == "single":
            return " + ".join(KINDS[kind].label for kind in self.architecture.kinds) + " alone"
        return BASELINES[self.name].label

    @property
    def averaged(self) -> bool:
        """Whether weights of its trainings are averaged, if the configuration asks for soups."""
        return self.group == "searched" or self.name == "full"

    def rates(self, config: TrainingConfig, probe: Recipe) -> tuple[float, ...]:
        """The learning rates to try; a linear probe's was chosen when it was probed."""
        return (probe.lr,) if self.method == "linear" else config.rates(self.method)

    def recipe(self, config: TrainingConfig, probe: Recipe, lr: float | None = None) -> Recipe:
        """How it is trained at ``lr``, by default at the method's own rate."""
        recipe = probe if self.method == "linear" else config.recipe(self.method)
        return recipe if lr is None else replace(recipe, lr=lr)

    def trainings(
        self,
        config: TrainingConfig,
        probe: Recipe,
        seeds: Sequence[int],
        on: Literal["train", "train_val"],
        lr: float | None = None,
    ) -> list[Training]:
        """One training for each seed, at ``lr``; ``probe`` is the recipe of linear probes."""
        recipe = self.recipe(config, probe, lr)
        head = {"briefly": config.head_recipe(), "probe": probe, "not": None}[METHODS[self.method].head]
        execution, keep = config.execution(self.method), config.soup > 0 and self.averaged
        return [
            Training(self.name, self.method, self.architecture, recipe, head, seed, on, execution, keep)
            for seed in seeds
        ]


@dataclass
class Scores:
    """What the trainings of one row gave, one entry for each seed: validation first, test at the very end."""

    val_accuracy: list[float] = field(default_factory=list)
    val_loss: list[float] = field(default_factory=list)

    @classmethod
    def of(cls, records: Sequence[TrainingRecord]) -> Scores:
        """From the records of trainings on the training part."""
        scores = [record.val_score() for record in records]
        return cls([score.accuracy for score in scores], [score.loss for score in scores])

    def rank_key(self) -> tuple[float, float]:
        """Sorts better rows first: lower mean validation loss, then higher mean accuracy.

        The accuracy on two hundred images has a standard error of three points, which is more than what
        separates most of those that compete, so that the highest is often a lucky one; the loss of each image
        says more than whether it is right (docs/log/accuracy_or_loss.md).
        """
        return (fmean(self.val_loss), -fmean(self.val_accuracy))


def baseline_rows(config: TrainingConfig, depth: int, noah: Architecture | None = None) -> list[Row]:
    """Those that the configuration names; ``noah`` is what NOAH's search found, if it is among them."""
    rows = []
    for baseline in (BASELINES[name] for name in config.baselines):
        architecture = noah if baseline.name == NOAH else baseline.architecture(depth)
        if architecture is None:
            raise ValueError("NOAH is among the baselines, and its architecture is not given")
        rows.append(Row(baseline.name, "baseline", baseline.method, architecture))
    return rows


def single_rows(methods: Mapping[str, Architecture]) -> list[Row]:
    """One for each single method of `TaskInputs.single_methods`."""
    return [Row(name, "single", "subnet", architecture) for name, architecture in methods.items()]


def best_of(group: Literal["searched", "single"], scores: Mapping[Row, Scores]) -> Row | None:
    """What of a group does best on validation data; ``None`` if there is nothing."""
    members = (row for row in scores if row.group == group)
    return min(members, key=lambda row: scores[row].rank_key(), default=None)


def best_sizes(scores: Mapping[Row, Scores]) -> list[Row]:
    """Of each single method the size that does best on validation data."""
    best: dict[tuple[str, ...], Row] = {}
    for row in scores:
        if row.group == "single":
            rival = best.setdefault(row.architecture.kinds, row)
            best[row.architecture.kinds] = min(rival, row, key=lambda row: scores[row].rank_key())
    return list(best.values())


def choose(scores: Mapping[Row, Scores]) -> Row | None:
    """What is exported: the best on validation data among the searched subnets and the single methods.

    A search that is beaten by a single method has lost; then that method is what the user should have.
    ``None`` if there are only baselines.
    """
    subnets = (row for row in scores if row.group != "baseline")
    return min(subnets, key=lambda row: scores[row].rank_key(), default=None)
