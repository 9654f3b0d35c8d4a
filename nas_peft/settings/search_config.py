"""Configuration of a search: everything that decides its result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

from pydantic import Field, field_validator, model_validator

from nas_peft.settings.durations import AUTO, PRESETS, seconds_of
from nas_peft.settings.lists import (
    UNCROPPED,
    Epochs,
    OptionalAugmentations,
    OptionalClassBalances,
    OptionalEpochs,
    Starts,
)
from nas_peft.settings.panels import Panel, Screen
from nas_peft.settings.training_config import TrainingConfig
from nas_peft.settings.whole_recipes import with_recipe

if TYPE_CHECKING:  # the command line reads this file to print its help, and torch takes seconds to import
    from supernet import Execution, Recipe
    from supernet.recipe import StartName

DEFAULT_GROUPS = 8
ROBUST_MARGIN = 0.05
DEFAULT_RETRAIN = 3
DEFAULT_LATENCY_BATCH = 8


class SearchConfig(TrainingConfig):
    """Configuration of `nas-peft search`.

    Two runs with equal configurations on one machine give equal results.
    """

    budget: Annotated[str, Panel.BUDGET, Screen.TASK] = Field(
        "0.75%",
        description="Most trainable parameters: 500k, 0.4M, 0.75% (of the backbone), by default the plan's ("
        "0.75% without a plan)",
    )
    epochs: Annotated[Epochs, Panel.RECIPE, Screen.TRAININGS] = Field(
        (8,),
        description="Epochs of each retraining and baseline, by default the plan's (8 without a plan); given "
        "several, such as 8,24, validation data choose one for each subnet, single method and baseline",
    )
    time: Annotated[str | None, Panel.BUDGET, Screen.TIME] = Field(
        None,
        description="Time for the whole command, such as 5m or 2h, or auto for what the data deserve, at "
        "most an hour; it sets the options of recipe, supernet and search that are not given; by default "
        "auto if none of these is given, else no time is kept to",
    )
    preset: Annotated[Literal["fast", "standard", "thorough"] | None, Panel.BUDGET, Screen.TIME] = Field(
        None, description="Name of a time: fast is 3m, standard 20m, thorough 2h"
    )
    fixed: tuple[str, ...] = Field(
        (),
        description="With a time, the names of the options that were given, which the plan keeps",
        json_schema_extra={"command_line": False},
    )
    space: Annotated[str, Panel.SEARCH] = Field(
        "default", description="Search space: preset name or YAML file"
    )
    module_files: Annotated[tuple[Path, ...], Panel.SEARCH] = Field(
        (), description="Python file that registers your own module kinds; can be given several times"
    )
    front_cost: Annotated[Literal["params", "flops", "latency"], Panel.SEARCH] = Field(
        "params", description="Cost that the front sets against the loss; latency is measured on this machine"
    )
    latency_batch_size: Annotated[int, Panel.SEARCH] = Field(
        DEFAULT_LATENCY_BATCH, ge=1, description="Images in the batch whose latency is measured"
    )
    front_budget: Annotated[str | None, Panel.SEARCH] = Field(
        None, description="Most parameters of a subnet on the front; by default the largest of the space"
    )
    supernet_epochs: Annotated[OptionalEpochs, Panel.SUPERNET] = Field(
        None,
        description="Epochs of supernet training; by default half of the first --epochs, with --no-retrain "
        "four times --epochs; given several, such as 4,16, the search uses the supernet whose subnets do "
        "best on unseen images",
    )
    supernet_augmentation: Annotated[OptionalAugmentations, Panel.SUPERNET] = Field(
        None,
        description="Augmentation of supernet training, as in --augmentation; by default the first of "
        "--augmentation; given several, such as none,crop, the search uses the supernet whose subnets do "
        "best on unseen images",
    )
    supernet_class_balance: Annotated[OptionalClassBalances, Panel.SUPERNET] = Field(
        None,
        description="Class balance of supernet training, as in --class-balance; by default the first of "
        "--class-balance; given several, the search uses the supernet whose subnets do best on unseen images",
    )
    supernet_lr: Annotated[float, Panel.SUPERNET] = Field(
        5e-3, gt=0, description="Peak learning rate of the supernet"
    )
    chooser: Annotated[Literal["one-per-image", "one-path", "groups", "sandwich"], Panel.SUPERNET] = Field(
        "groups", description="Choice of the architectures that a training step of the supernet updates"
    )
    groups: Annotated[int, Panel.SUPERNET] = Field(
        DEFAULT_GROUPS, ge=1, description="Architectures in each batch, with --chooser groups"
    )
    distil: Annotated[bool, Panel.SUPERNET] = Field(
        False, description="Let the largest architecture teach the others, with --chooser sandwich"
    )
    folds: Annotated[int, Panel.SUPERNET] = Field(
        1,
        ge=1,
        description="Number of supernets, each trained on all folds of the training split but one and scored "
        "on that fold; 1 trains one supernet on the whole training split and scores on the validation split",
    )
    searcher: Annotated[str, Panel.SEARCH] = Field(
        "evolution", description="Searcher: evolution, noah, nsga2, tpe, random, or your own"
    )
    searcher_options: Annotated[str, Panel.SEARCH] = Field(
        "", description="Options of the searcher, NAME=VALUE,..., such as rank_by_accuracy=false for noah"
    )
    generations: Annotated[int, Panel.SEARCH] = Field(6, ge=1, description="Generations of the search")
    population: Annotated[int, Panel.SEARCH] = Field(12, ge=2, description="Candidates in each generation")
    parents: Annotated[int | None, Panel.SEARCH] = Field(
        None,
        ge=1,
        description="Number of best candidates that later generations descend from; by default 8 for "
        "evolution, a fifth of the population for noah; other searchers have no parents",
    )
    mutation_probability: Annotated[float | None, Panel.SEARCH] = Field(
        None,
        ge=0,
        le=1,
        description="Probability that a mutation redraws a size (evolution, 0.1 by default) or touches a "
        "module kind (noah, 0.2 by default); other searchers do not use it",
    )
    racing: Annotated[bool, Panel.SEARCH] = Field(
        True,
        description="Stop scoring candidates that are behind a cheaper one on the first images; with "
        "--objective robust, and where the searcher ranks by accuracy (noah), none is stopped",
    )
    objective: Annotated[Literal["accuracy", "robust"], Panel.SEARCH] = Field(
        "accuracy",
        description="What subnets are chosen for: accuracy (on validation data), or robust (the loss on "
        "corrupted copies of validation data, and on left-out domains with --domains)",
    )
    robust_margin: Annotated[float, Panel.SEARCH] = Field(
        ROBUST_MARGIN,
        ge=0,
        description="With --objective robust, the most by which the loss on unchanged validation data may be "
        "above the lowest one",
    )
    retrain: Annotated[int, Panel.COMPARISON] = Field(
        DEFAULT_RETRAIN, ge=1, description="Number of best searched subnets to retrain"
    )
    start: Annotated[Starts, Panel.COMPARISON] = Field(
        ("pretrained",),
        description="Weights from which searched subnets are retrained: pretrained (with new modules), or "
        "inherited from the supernet; given both, pretrained,inherited, validation data choose for each "
        "subnet",
    )
    inherited_epochs: Annotated[OptionalEpochs, Panel.COMPARISON] = Field(
        None,
        description="Epochs of retraining from inherited weights, with --start inherited; by default half of "
        "--epochs; given several, such as 4,8, validation data choose one for each subnet",
    )
    no_retrain: Annotated[bool, Panel.COMPARISON] = Field(
        False, description="Test and export the best subnet with the weights inherited from the supernet"
    )
    compile: Annotated[bool, Panel.CLUSTER] = Field(
        False,
        description="Compile the supernet's training with torch.compile; retrainings are too short to repay "
        "the compilation",
    )
    data_parallel: Annotated[int, Panel.CLUSTER] = Field(
        1,
        ge=1,
        description="Processes that train the supernet together, each with a GPU or a share of the cores, on "
        "this machine or on the Ray at --ray-address",
    )

    @model_validator(mode="before")
    @classmethod
    def _note_given(cls, values: Any) -> Any:
        """Note which options are given, by a recipe as well, where a plan sets the others."""
        if isinstance(values, dict):
            values = with_recipe(values, cls.model_fields)
        if (
            isinstance(values, dict)
            and not values.get("fixed")
            and (values.get("time") or values.get("preset"))
        ):
            return values | {"fixed": tuple(sorted(set(values) - {"time", "preset", "fixed"}))}
        return values

    @field_validator("time")
    @classmethod
    def _require_span(cls, value: str | None) -> str | None:
        if value is not None and value != AUTO:
            seconds_of(value)
        return value

    @model_validator(mode="after")
    def _require_one_time(self) -> SearchConfig:
        if self.time is not None and self.preset is not None:
            raise ValueError(
                f"time is '{self.time}', and preset '{self.preset}' is the time {PRESETS[self.preset]}; "
                "give one of them"
            )
        if self.chosen_time is not None and self.no_retrain:
            raise ValueError(
                "time is divided among supernet, search and separate trainings, and no_retrain skips the "
                "latter; leave out one or the other"
            )
        return self

    @model_validator(mode="after")
    def _require_consistent(self) -> SearchConfig:
        if "head-retrained" in (self.supernet_class_balance or ()):
            raise ValueError(
                "supernet_class_balance is head-retrained, and the head of a supernet is every subnet's; "
                "give it as class_balance, and none, weighted, sampled or logit-adjusted for the supernet"
            )
        if self.groups != DEFAULT_GROUPS and self.chooser != "groups":
            raise ValueError(
                f"groups is {self.groups}, which only the chooser 'groups' reads, and the chooser is "
                f"'{self.chooser}'; give --chooser groups, or leave groups out"
            )
        if self.distil and self.chooser != "sandwich":
            raise ValueError(
                f"distil needs the chooser 'sandwich', and the chooser is '{self.chooser}'; "
                "give --chooser sandwich, or leave distil out"
            )
        if self.latency_batch_size != DEFAULT_LATENCY_BATCH and self.front_cost != "latency":
            raise ValueError(
                f"latency_batch_size is {self.latency_batch_size}, and no latency is measured; give "
                "--front-cost latency, or leave latency_batch_size out"
            )
        fields = SearchConfig.model_fields
        separate = (
            "seeds",
            "retrain",
            "start",
            "inherited_epochs",
            "lr_grid",
            "baselines",
            "singles",
            "single_sizes",
            "early_stopping",
            "halving",
            "soup",
            "average",
            "allow_full",
            "pack",
        )
        given = [name for name in separate if getattr(self, name) != fields[name].default]
        if self.no_retrain and given:
            raise ValueError(
                f"no_retrain skips all separate trainings, and {given[0]} sets an option of theirs; "
                "leave out one or the other"
            )
        if self.robust_margin != ROBUST_MARGIN and not self.robust:
            raise ValueError(
                f"robust_margin is {self.robust_margin}, and the objective is '{self.objective}'; give "
                "--objective robust, or leave robust_margin out"
            )
        if self.robust and self.metric != "accuracy":
            raise ValueError(
                f"metric is '{self.metric}', and --objective robust chooses by two losses whatever the "
                "metric; leave one of them out"
            )
        if self.robust and self.searcher == "noah":
            raise ValueError(
                "the searcher 'noah' ranks by accuracy, as published, whatever the objective; with "
                "--objective robust give another, such as --searcher evolution"
            )
        if self.robust and self.front_cost != "params":
            raise ValueError(
                f"front_cost is '{self.front_cost}', and with --objective robust the front is that of two "
                "losses; leave one of them out"
            )
        if not self.awaits_plan and self.inherited_epochs is not None and "inherited" not in self.start:
            raise ValueError(
                f"inherited_epochs is {', '.join(map(str, self.inherited_epochs))}, and nothing starts from "
                "inherited weights; give --start inherited, or leave inherited_epochs out"
            )
        lists = {"epochs": self.epochs, **self.choices}
        several = [name for name, values in lists.items() if len(values) > 1]
        if self.no_retrain and several:
            raise ValueError(
                f"no_retrain skips all separate trainings, and {several[0]} names "
                f"{len(lists[several[0]])} to choose from for each of them; give one, or leave no_retrain out"
            )
        if (parts := self.micro_batches * self.data_parallel) > self.batch_size:
            raise ValueError(
                f"a batch of {self.batch_size} images is too small for {parts} parts (micro_batches times "
                "data_parallel); give a larger batch_size or fewer parts"
            )
        return self

    @property
    def robust(self) -> bool:
        """Whether candidates and trainings are chosen for their loss on shifted images."""
        return self.objective == "robust"

    @property
    def front_field(self) -> str:
        """The field of a candidate that the front sets against the loss."""
        return "shifted_loss" if self.robust else self.front_cost

    @property
    def awaits_plan(self) -> bool:
        """See `TrainingConfig.awaits_plan`."""
        return self.chosen_time is not None

    @property
    def several_recipes(self) -> bool:
        """Whether any row has several recipes to try."""
        return len(self.start) > 1 or len(self.inherited_epochs or ()) > 1 or super().several_recipes

    @property
    def several_lengths(self) -> bool:
        """Whether any row has several numbers of epochs to try."""
        return len(self.inherited_epochs or ()) > 1 or super().several_lengths

    @property
    def chosen_time(self) -> str | None:
        """The time for the whole command, by ``time`` or ``preset``; ``None`` without a plan."""
        return self.time if self.preset is None else PRESETS[self.preset]

    def planned(self, options: Mapping[str, Any]) -> SearchConfig:
        """This configuration with the ``options`` of a plan in place of the time.

        Options of the plan that those of the user leave nothing to do are left out: halving where each row
        has one number of epochs, the epochs from inherited weights where nothing starts from them. Raises
        `InputError` where the two contradict each other.
        """
        values = self.model_dump() | dict(options) | {"time": None, "preset": None, "fixed": ()}
        if "inherited" not in values["start"] and "inherited_epochs" in options:
            values["inherited_epochs"] = None
        asked = values["halving"] and "halving" in self.fixed  # then it is refused where it has no use
        config = SearchConfig.of(**values | {"halving": asked})
        return config.model_copy(update={"halving": bool(values["halving"]) and config.several_lengths})

    def supernet_recipes(self) -> list[Recipe]:
        """Recipes of the supernet; where there are several, validation data choose one."""
        from supernet import Recipe

        by_default = 4 * self.epochs[0] if self.no_retrain else max(1, self.epochs[0] // 2)
        lengths = self.supernet_epochs or (by_default,)
        choices = {name: values[:1] for name, values in self.choices.items()}
        choices["module_scale"] = (1.0,)  # subnets that share weights share no factor
        choices["augmentation"] = self.supernet_augmentation or self.augmentation[:1]
        # the head of a supernet is every subnet's, and is not trained again
        balance = "none" if self.class_balance[0] == "head-retrained" else self.class_balance[0]
        choices["class_balance"] = self.supernet_class_balance or (balance,)
        return [
            Recipe(
                epochs,
                self.supernet_lr,
                batch_size=self.batch_size,
                label_smoothing=self.label_smoothing,
                **dict(zip(choices, values, strict=True)),
            )
            for epochs, *values in product(lengths, *choices.values())
        ]

    @property
    def cuts_crops(self) -> bool:
        """See `TrainingConfig.cuts_crops`; the supernet counts too."""
        of_supernet = self.supernet_augmentation or ()
        return super().cuts_crops or any(name not in UNCROPPED for name in of_supernet)

    def searched_recipes(self) -> tuple[Recipe, ...]:
        """Recipes to try for searched subnets: those of all subnets, and those from inherited weights."""
        found: list[Recipe] = []
        for start in cast("tuple[StartName, ...]", self.start):
            if start == "pretrained":
                found += self.recipes("subnet")
                continue
            lengths = self.inherited_epochs or tuple(max(1, epochs // 2) for epochs in self.epochs)
            for epochs in dict.fromkeys(lengths):
                found += [
                    replace(recipe, epochs=epochs, start=start)
                    for recipe in self.recipes("subnet")
                    if recipe.epochs == self.epochs[0]
                ]
        return tuple(found)

    def execution(self, method: str) -> Execution:
        """Precision and memory settings for training the ``supernet`` or a method."""
        return replace(super().execution(method), compile=self.compile and method == "supernet")
