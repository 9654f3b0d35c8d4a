"""The rows of the final table (searched subnets, single methods, baselines) and the choice among them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

from nas_peft.protocol.decision import Contestant, Decision, decide
from nas_peft.run.single_methods import COMBINED
from nas_peft.settings.baselines import BASELINES, NOAH, PRUNED
from nas_peft.settings.methods import METHODS, Method
from nas_peft.settings.metric import Metric
from nas_peft.settings.training_config import TrainingConfig
from nas_peft.training.image_scores import ImageScores
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
            method = COMBINED.get(self.name.rpartition("-")[0])
            if method is not None:
                return method.label
            return " + ".join(KINDS[kind].label for kind in self.architecture.kinds) + " alone"
        return BASELINES[self.name].label

    @property
    def averaged(self) -> bool:
        """Whether the weights of the row's trainings are averaged if the configuration asks for soups."""
        return self.group == "searched" or self.name == "full"

    def keeps_weights(self, config: TrainingConfig) -> bool:
        """Whether the weights of every training are needed later: those of the ingredients of soups."""
        return config.soup > 0 and self.averaged

    def recipes(self, config: TrainingConfig, probe: Recipe) -> tuple[Recipe, ...]:
        """The recipes to try; that of linear probes was already chosen by the probe stage."""
        if self.method == "linear":
            return (probe,)
        return config.searched_recipes() if self.group == "searched" else config.recipes(self.method)

    def recipe(self, config: TrainingConfig, probe: Recipe) -> Recipe:
        """The method's own recipe, see `TrainingConfig.method_recipe`."""
        return probe if self.method == "linear" else config.method_recipe(self.method)

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
        alternatives = [other for other in self.recipes(config, probe) if other.start == recipe.start]
        head = {"briefly": config.head_recipe(), "probe": probe, "not": None}[METHODS[self.method].head]
        if recipe.start == "inherited":
            head = None  # inherited with the modules
        elif head is not None and self.method != "lp-ft":
            head = replace(head, class_balance=recipe.class_balance)
        execution, keep = config.execution(self.method), self.keeps_weights(config)
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
                names_epochs=len({other.epochs for other in alternatives}) > 1,
                names_decay=len({other.weight_decay for other in alternatives}) > 1,
            )
            for seed in seeds
        ]


@dataclass
class Scores:
    """Validation accuracy and loss of one row's trainings, one entry for each seed.

    ``images`` are the scores of each image, by seed too; empty where they are not known of every seed.
    ``metric`` is the one that decides.
    """

    val_accuracy: list[float] = field(default_factory=list)
    val_loss: list[float] = field(default_factory=list)
    images: list[ImageScores] = field(default_factory=list)
    metric: Metric = "accuracy"

    @classmethod
    def of(cls, records: Sequence[TrainingRecord], metric: Metric = "accuracy") -> Scores:
        """The scores in the records of trainings on the training set."""
        scores = [record.val_score() for record in records]
        images = [record.images for record in records if record.images is not None]
        return cls(
            [score.accuracy for score in scores],
            [score.loss for score in scores],
            images if len(images) == len(scores) else [],
            metric,
        )

    def contestant(self, name: str, params: int) -> Contestant:
        """These scores as they take part in a choice."""
        return Contestant.of(name, params, self.val_accuracy, self.val_loss, self.images, self.metric)


Params: TypeAlias = Callable[["Row"], int]
"""Number of trained parameters of a row without the head; the cheaper of equal rows is chosen."""


def baseline_rows(
    config: TrainingConfig,
    depth: int,
    noah: Architecture | None = None,
    pruned: Architecture | None = None,
) -> list[Row]:
    """The configured baselines.

    ``noah`` is the subnet that NOAH's search found, and ``pruned`` the ranks that pruning left of LoRA, if
    these are among the baselines.
    """
    rows = []
    later = {NOAH: ("NOAH", noah, "noah"), PRUNED: ("pruned LoRA", pruned, "pruned")}
    for baseline in (BASELINES[name] for name in config.baselines):
        if baseline.name in later:
            what, architecture, argument = later[baseline.name]
            if architecture is None:
                raise ValueError(
                    f"{what} is among the baselines, but its architecture is missing; pass {argument}="
                )
        else:
            architecture = baseline.architecture(depth)
        rows.append(Row(baseline.name, "baseline", baseline.method, architecture))
    return rows


def single_rows(methods: Mapping[str, Architecture]) -> list[Row]:
    """A row for each single method of `TaskInputs.single_methods`."""
    return [Row(name, "single", "subnet", architecture) for name, architecture in methods.items()]


def best_of(group: Literal["searched", "single"], scores: Mapping[Row, Scores], params: Params) -> Row | None:
    """The row of a group with the best validation score; ``None`` for an empty group."""
    found = best_row([row for row in scores if row.group == group], scores, params)
    return found[0] if found else None


def best_sizes(scores: Mapping[Row, Scores], params: Params) -> list[Row]:
    """The row with the best validation score among the sizes of each single method."""
    sizes: dict[tuple[str, ...], list[Row]] = {}
    for row in scores:
        if row.group == "single":
            sizes.setdefault(row.architecture.kinds, []).append(row)
    return [found[0] for rows in sizes.values() if (found := best_row(rows, scores, params))]


def may_be_exported(row: Row, allow_full: bool) -> bool:
    """Whether a row competes for the export: subnets do, and full fine-tuning where it is allowed."""
    return row.group != "baseline" or (allow_full and row.name == "full")


def choose(
    scores: Mapping[Row, Scores], params: Params, allow_full: bool = False
) -> tuple[Row, Decision] | None:
    """The row to export: of those that `may_be_exported` the one with the best validation score.

    If a single method beats the search, the user should get that method. ``None`` if no such row is left.
    """
    return best_row([row for row in scores if may_be_exported(row, allow_full)], scores, params)


def best_row(
    rows: Sequence[Row], scores: Mapping[Row, Scores], params: Params
) -> tuple[Row, Decision] | None:
    """The best of ``rows`` by `decision.decide`, and what decided; ``None`` for no rows."""
    if not rows:
        return None
    named = {row.name: row for row in rows}
    decision = decide([scores[row].contestant(row.name, params(row)) for row in rows])
    return named[decision.name], decision
