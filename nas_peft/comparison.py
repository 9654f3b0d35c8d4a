"""The rows of the final table, searched subnets beside single methods and baselines, and the choice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any, Literal

from nas_peft.config import SearchConfig
from nas_peft.methods import METHODS, Method
from nas_peft.trainings import Training
from search_spaces import KINDS, Architecture
from supernet import Recipe


@dataclass(frozen=True)
class Row:
    """One line of the comparison.

    ``name`` is its name in files (``candidate-17``, ``lora_rank-2``, ``linear``); ``group`` says what it
    is: a subnet that the search found, a single method within the budget, or a baseline outside the space.
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
        return METHODS[self.method].label

    def recipe(self, config: SearchConfig, probe: Recipe) -> Recipe:
        """How it is trained."""
        return probe if self.method == "linear" else config.recipe(self.method)

    def trainings(
        self, config: SearchConfig, probe: Recipe, seeds: Sequence[int], on: Literal["train", "train_val"]
    ) -> list[Training]:
        """One training for each seed; ``probe`` is the recipe of linear probes."""
        recipe = self.recipe(config, probe)
        head = config.head_recipe() if self.method != "linear" else None
        execution = config.execution(self.method)
        return [
            Training(self.name, self.method, self.architecture, recipe, head, seed, on, execution)
            for seed in seeds
        ]


@dataclass
class Scores:
    """What the trainings of one row gave, one entry for each seed: validation first, test at the very end."""

    val_accuracy: list[float] = field(default_factory=list)
    val_loss: list[float] = field(default_factory=list)

    @classmethod
    def of(cls, records: Sequence[Mapping[str, Any]]) -> Scores:
        """From the records of trainings on the training part."""
        return cls([r["val"]["accuracy"] for r in records], [r["val"]["loss"] for r in records])

    def rank_key(self) -> tuple[float, float]:
        """Sorts better rows first: higher mean validation accuracy, then lower mean loss.

        Two hundred images tie often, and among trained networks the loss tells more than the number of
        parameters does.
        """
        return (-fmean(self.val_accuracy), fmean(self.val_loss))


def baseline_rows(depth: int) -> list[Row]:
    """Linear probing and full fine-tuning."""
    empty = Architecture.empty(depth)
    return [Row("linear", "baseline", "linear", empty), Row("full", "baseline", "full", empty)]


def best_searched(scores: Mapping[Row, Scores]) -> Row | None:
    """The searched subnet that does best on validation data; ``None`` if the search found no mixed one."""
    searched = (row for row in scores if row.group == "searched")
    return min(searched, key=lambda row: scores[row].rank_key(), default=None)


def choose(scores: Mapping[Row, Scores]) -> Row:
    """What is exported: the best on validation data among the searched subnets and the single methods.

    A search space contains the single methods, so a search that is beaten by one has lost; then the single
    method is what the user should have.
    """
    return min((row for row in scores if row.group != "baseline"), key=lambda row: scores[row].rank_key())
