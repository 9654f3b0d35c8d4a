"""The configuration of a search: everything that decides its result."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field, model_validator

from nas_peft.settings.lists import Epochs
from nas_peft.settings.training_config import TrainingConfig

if TYPE_CHECKING:  # the command line reads this file to print its help, and torch takes seconds to import
    from supernet import Execution, Recipe

DEFAULT_GROUPS = 8
DEFAULT_RETRAIN = 3
DEFAULT_LATENCY_BATCH = 8


class SearchConfig(TrainingConfig):
    """What `nas-peft search` is asked for.

    Two runs of equal configurations on one machine give equal results.
    """

    space: str = Field("default", description="preset name or YAML file")
    module_files: tuple[Path, ...] = Field(
        (), description="Python file that registers module kinds of your own; can be given several times"
    )
    front_cost: Literal["params", "flops", "latency"] = Field(
        "params", description="what the front sets against the loss; latency is measured on this machine"
    )
    latency_batch_size: int = Field(
        DEFAULT_LATENCY_BATCH, ge=1, description="images of the batch whose latency is measured"
    )
    front_budget: str | None = Field(
        None, description="parameters of the largest subnets of the front; the whole space if not given"
    )
    supernet_epochs: Epochs = Field(
        None,
        description="passes over the training images for the supernet; if not given half of --epochs, with "
        "--no-retrain four times --epochs; of several, such as 4,16, the supernet whose subnets do best on "
        "unseen images is searched",
    )
    supernet_lr: float = Field(5e-3, gt=0, description="learning rate of the supernet")
    chooser: Literal["one-per-image", "one-path", "groups", "sandwich"] = Field(
        "groups", description="which architectures a step of the supernet trains"
    )
    groups: int = Field(
        DEFAULT_GROUPS, ge=1, description="architectures of a batch with the chooser 'groups'"
    )
    distil: bool = Field(
        False, description="with the chooser 'sandwich': the largest architecture teaches the others"
    )
    folds: int = Field(
        1,
        ge=1,
        description="supernets, each trained on all folds of the training part but one, which it scores; 1: "
        "one supernet trained on all of it, scoring the validation part",
    )
    searcher: str = Field("evolution", description="evolution, noah, nsga2, tpe, random, or your own")
    searcher_options: str = Field(
        "", description="NAME=VALUE,... of the searcher, such as rank_by_accuracy=false of noah"
    )
    generations: int = Field(6, ge=1, description="rounds of proposals of the search")
    population: int = Field(12, ge=2, description="candidates of a generation")
    parents: int | None = Field(
        None,
        ge=1,
        description="best candidates that later generations descend from, of evolution (8 if not given) and "
        "noah (a fifth of the population)",
    )
    mutation_probability: float | None = Field(
        None,
        ge=0,
        le=1,
        description="of evolution: for each size, to be redrawn (0.1 if not given); of noah: for each kind, "
        "to be touched (0.2)",
    )
    racing: bool = Field(
        True, description="stop scoring a candidate that is behind a cheaper one on the first images"
    )
    retrain: int = Field(DEFAULT_RETRAIN, ge=1, description="best searched subnets to train separately")
    no_retrain: bool = Field(
        False, description="test and export the best subnet with the weights inherited from the supernet"
    )
    compile: bool = Field(
        False,
        description="torch.compile the supernet's training; a separate one is too short to earn back the "
        "compilation of its architecture",
    )
    data_parallel: int = Field(
        1, ge=1, description="processes that train the supernet together, each with a GPU or some cores"
    )

    @model_validator(mode="after")
    def _require_consistent(self) -> SearchConfig:
        if self.groups != DEFAULT_GROUPS and self.chooser != "groups":
            raise ValueError(
                f"groups is {self.groups}, which only the chooser 'groups' reads, and the chooser is "
                f"'{self.chooser}'; give --chooser groups, or leave groups out"
            )
        if self.distil and self.chooser != "sandwich":
            raise ValueError(
                f"distil is for the chooser 'sandwich', and the chooser is '{self.chooser}'; "
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
            "lr_grid",
            "baselines",
            "single_sizes",
            "early_stopping",
            "soup",
            "pack",
        )
        given = [name for name in separate if getattr(self, name) != fields[name].default]
        if self.no_retrain and given:
            raise ValueError(
                f"with no_retrain nothing is trained separately, and {given[0]} is given, which says how; "
                "leave out one or the other"
            )
        if (parts := self.micro_batches * self.data_parallel) > self.batch_size:
            raise ValueError(
                f"a batch of {self.batch_size} images is too small for {parts} parts (micro_batches times "
                "data_parallel); give a larger batch_size or fewer parts"
            )
        return self

    def supernet_recipes(self) -> list[Recipe]:
        """How the supernet is trained; of several, validation data choose."""
        from supernet import Recipe

        by_default = 4 * self.epochs if self.no_retrain else max(1, self.epochs // 2)
        return [
            Recipe(epochs, self.supernet_lr, weight_decay=self.weight_decay, batch_size=self.batch_size)
            for epochs in self.supernet_epochs or (by_default,)
        ]

    def execution(self, method: str) -> Execution:
        """How trainings of the ``supernet`` or of a method are carried out."""
        return replace(super().execution(method), compile=self.compile and method == "supernet")
