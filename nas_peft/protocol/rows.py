"""The rows of the final table (searched subnets, single methods, baselines) and the choice among them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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

    ``name`` is the row's name in files (``candidate-17``, ``lora_rank-2``, ``linear``). ``group`` tells a
    subnet found by the search, a single method within the budget, and a baseline, which has no budget, apart.
    """

    name: str
    group: Literal["searched", "single", "baseline"]
    method: Method
    architecture: Architecture

    @property
    def label(self) -> str:
        """Name in the table."""
        if self.group == "searched":
            return "searched subnet"
        if self.group == "single":
            return " + ".join(KINDS[kind].label for kind in self.architecture.kinds) + " alone"
        return BASELINES[self.name].label

    @property
    def averaged(self) -> bool:
        """Whether the weights of the row's trainings are averaged if the configuration asks for soups."""
        return self.group == "searched" or self.name == "full"

    def recipes(self, config: TrainingConfig, probe: Recipe) -> tuple[Recipe, ...]:
        """The recipes to try; that of linear probes was already chosen by the probe stage."""
        if self.method == "linear":
            return (probe,)
        return config.searched_recipes() if self.group == "searched" else config.recipes(self.method)

    def recipe(self, config: TrainingConfig, probe: Recipe) -> Recipe:
        """The method's own recipe, see `TrainingConfig.recipe`."""
        return probe if self.method == "linear" else config.recipe(self.method)

    def trainings(
        self,
        config: TrainingConfig,
        probe: Recipe,
        seeds: Sequence[int],
        on: Literal["train", "train_val"],
        recipe: Recipe | None = None,
    ) -> list[Training]:
        """One training for each seed, by ``recipe`` or the method's own; ``probe`` is a linear probe's."""
        recipe = recipe or self.recipe(config, probe)
        lengths = {other.epochs for other in self.recipes(config, probe) if other.start == recipe.start}
        head = {"briefly": config.head_recipe(), "probe": probe, "not": None}[METHODS[self.method].head]
        if recipe.start == "inherited":
            head = None  # inherited with the modules
        execution, keep = config.execution(self.method), config.soup > 0 and self.averaged
        return [
            Training(
                self.name,
                self.method,
                self.architecture,
                recipe,
                head,
                seed,
                on,
                execution,
                keep,
                names_epochs=len(lengths) > 1,
            )
            for seed in seeds
        ]


@dataclass
class Scores:
    """Validation accuracy and loss of one row's trainings, one entry for each seed."""

    val_accuracy: list[float] = field(default_factory=list)
    val_loss: list[float] = field(default_factory=list)

    @classmethod
    def of(cls, records: Sequence[TrainingRecord]) -> Scores:
        """The scores in the records of trainings on the training set."""
        scores = [record.val_score() for record in records]
        return cls([score.accuracy for score in scores], [score.loss for score in scores])

    def rank_key(self) -> tuple[float, float]:
        """Sort key that puts better rows first: lower mean validation loss, then higher mean accuracy.

        The accuracy on 200 images has a standard error of three points, more than the difference between most
        rivals, so the highest accuracy is often luck. The loss of an image says more than whether its class
        is right (docs/log/accuracy_or_loss.md).
        """
        return (fmean(self.val_loss), -fmean(self.val_accuracy))


def baseline_rows(config: TrainingConfig, depth: int, noah: Architecture | None = None) -> list[Row]:
    """The configured baselines; ``noah`` is the subnet that NOAH's search found, if NOAH is among them."""
    rows = []
    for baseline in (BASELINES[name] for name in config.baselines):
        architecture = noah if baseline.name == NOAH else baseline.architecture(depth)
        if architecture is None:
            raise ValueError("NOAH is among the baselines, but its architecture is missing; pass noah=")
        rows.append(Row(baseline.name, "baseline", baseline.method, architecture))
    return rows


def single_rows(methods: Mapping[str, Architecture]) -> list[Row]:
    """A row for each single method of `TaskInputs.single_methods`."""
    return [Row(name, "single", "subnet", architecture) for name, architecture in methods.items()]


def best_of(group: Literal["searched", "single"], scores: Mapping[Row, Scores]) -> Row | None:
    """The row of a group with the best validation score; ``None`` for an empty group."""
    members = (row for row in scores if row.group == group)
    return min(members, key=lambda row: scores[row].rank_key(), default=None)


def best_sizes(scores: Mapping[Row, Scores]) -> list[Row]:
    """The row with the best validation score among the sizes of each single method."""
    best: dict[tuple[str, ...], Row] = {}
    for row in scores:
        if row.group == "single":
            rival = best.setdefault(row.architecture.kinds, row)
            best[row.architecture.kinds] = min(rival, row, key=lambda row: scores[row].rank_key())
    return list(best.values())


def choose(scores: Mapping[Row, Scores]) -> Row | None:
    """The row to export: the searched subnet or single method with the best validation score.

    If a single method beats the search, the user should get that method. ``None`` if all rows are baselines.
    """
    subnets = (row for row in scores if row.group != "baseline")
    return min(subnets, key=lambda row: scores[row].rank_key(), default=None)
