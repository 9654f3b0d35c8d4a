"""The configuration of a search: everything that decides its result."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from search_spaces import InputError

if TYPE_CHECKING:  # the command line reads this file to print its help, and torch takes seconds to import
    from supernet import Execution, Recipe

DEFAULT_BACKBONE = "vit_micro_patch8_32"
DEFAULT_GROUPS = 8
DEFAULT_RETRAIN = 3


class SearchConfig(BaseModel):
    """What `nas-peft search` is asked for.

    Two runs of equal configurations on one machine give equal results. The learning rates are peak values;
    see `supernet.Recipe` for the rest of the recipe, and docs/log.md for how the defaults were chosen (on
    validation data).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: str = Field(description="embedded name, folder, or timm data set name")
    data_root: Path | None = Field(None, description="where timm's data sets are or are downloaded to")
    shots: int | None = Field(None, ge=1, description="training images per class; all if not given")
    skip_bad_images: bool = Field(False, description="leave out unreadable images and list them")
    backbone: str = Field(DEFAULT_BACKBONE, description="name of a timm ViT")
    backbone_weights: Path | None = Field(None, description="weights file instead of the name's own")
    image_size: str | None = Field(
        None, description="pixels, such as 48 or 32x48 (height first), instead of the backbone's own"
    )
    space: str = Field("default", description="preset name or YAML file")
    module_files: tuple[Path, ...] = Field(
        (), description="Python file that registers module kinds of your own; can be given several times"
    )
    budget: str = Field("0.75%", description="trainable parameters: 500k, 0.4M, 0.75% (of the backbone)")
    count_head: bool = Field(False, description="count the head within the budget")
    front_cost: Literal["params", "flops"] = Field(
        "params", description="what the front sets against the loss"
    )
    front_budget: str | None = Field(
        None, description="parameters of the largest subnets of the front; the whole space if not given"
    )
    seed: int = Field(0, ge=0, description="of every random stream")
    seeds: int = Field(1, ge=1, description="separate trainings of each subnet and baseline")
    batch_size: int = Field(64, ge=1, description="images of a training step")
    supernet_epochs: int = Field(16, ge=1, description="passes over the training images for the supernet")
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
    population: int = Field(24, ge=2, description="candidates of a generation")
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
    early_stopping: bool = Field(
        False,
        description="end a separate training early that is behind others of the same row with other learning "
        "rates (ASHA, on the validation loss); which are ended depends on which come first, so two runs may "
        "differ",
    )
    epochs: int = Field(6, ge=1, description="of each separate training")
    lr: float = Field(5e-3, gt=0, description="learning rate of subnets and single methods")
    head_epochs: int = Field(
        20, ge=0, description="of the head alone before each training, on cached features; 0: a random head"
    )
    head_lr: float = Field(3e-3, gt=0, description="learning rate of the head alone before each training")
    linear_epochs: int = Field(100, ge=1, description="of linear probing, on cached features")
    linear_lr: float | None = Field(
        None, gt=0, description="learning rate of linear probing; chosen by validation loss if not given"
    )
    full_lr: float = Field(3e-4, gt=0, description="learning rate of full fine-tuning")
    weight_decay: float = Field(1e-4, ge=0, description="AdamW's")
    precision: Literal["fp32", "bf16"] = Field(
        "fp32", description="of forward and backward passes, in all trainings and evaluations"
    )
    compile: bool = Field(
        False,
        description="torch.compile the supernet's training; a separate one is too short to earn back the "
        "compilation of its architecture",
    )
    micro_batches: int = Field(
        1, ge=1, description="parts of a batch, one after the other: less memory, in all trainings"
    )
    checkpointing: bool = Field(
        False, description="recompute activations in the backward pass: less memory, in all trainings"
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
        if self.no_retrain and (self.seeds != 1 or self.retrain != DEFAULT_RETRAIN):
            raise ValueError(
                "with no_retrain nothing is trained separately, and seeds or retrain is given, which say how "
                "often; leave out one or the other"
            )
        if self.no_retrain and self.early_stopping:
            raise ValueError(
                "with no_retrain nothing is trained separately, and early_stopping ends such trainings; "
                "leave out one or the other"
            )
        if (parts := self.micro_batches * self.data_parallel) > self.batch_size:
            raise ValueError(
                f"a batch of {self.batch_size} images is too small for {parts} parts (micro_batches times "
                "data_parallel); give a larger batch_size or fewer parts"
            )
        return self

    @field_validator("image_size")
    @classmethod
    def _require_pixels(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"[1-9][0-9]*(x[1-9][0-9]*)?", value):
            raise ValueError("give pixels, such as 48 or 32x48 (height first)")
        return value

    def pixels(self) -> tuple[int, int] | None:
        """Height and width of images, where they are not the backbone's own."""
        if self.image_size is None:
            return None
        sides = [int(side) for side in self.image_size.split("x")]
        return sides[0], sides[-1]

    def recipe(self, method: str) -> Recipe:
        """How ``supernet``, ``subnet`` or ``full`` is trained."""
        from supernet import Recipe

        epochs, lr = {
            "supernet": (self.supernet_epochs, self.supernet_lr),
            "subnet": (self.epochs, self.lr),
            "full": (self.epochs, self.full_lr),
        }[method]
        return Recipe(epochs, lr, weight_decay=self.weight_decay, batch_size=self.batch_size)

    def execution(self, method: str) -> Execution:
        """How trainings of the ``supernet``, of a ``subnet``, ``linear`` or ``full`` are carried out."""
        from supernet import Execution

        return Execution(
            precision=self.precision,
            compile=self.compile and method == "supernet",
            micro_batches=self.micro_batches,
            checkpointing=self.checkpointing,
        )

    def head_recipe(self) -> Recipe | None:
        """How the head is trained alone before another training; ``None`` for a random head."""
        from supernet import Recipe

        if not self.head_epochs:
            return None
        return Recipe(
            self.head_epochs, self.head_lr, weight_decay=self.weight_decay, batch_size=self.batch_size
        )

    def linear_recipe(self, lr: float) -> Recipe:
        """How linear probes are trained at the learning rate that was chosen."""
        from supernet import Recipe

        return Recipe(self.linear_epochs, lr, weight_decay=self.weight_decay, batch_size=self.batch_size)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able, in the order of the fields."""
        return self.model_dump(mode="json")

    def to_yaml(self) -> str:
        """The text of ``config.yaml`` in the run folder."""
        return yaml.safe_dump(self.to_dict(), sort_keys=False)

    @classmethod
    def of(cls, **values: Any) -> SearchConfig:
        """Validate ``values``. Raises `InputError` naming the field, the value and what is allowed."""
        try:
            return cls(**values)
        except ValidationError as error:
            first = error.errors()[0]
            if not first["loc"]:  # about several fields
                raise InputError(str(first["ctx"]["error"])) from error
            field = ".".join(str(part) for part in first["loc"])
            ours = first["type"] == "value_error"
            reason = first["ctx"]["error"] if ours else first["msg"].lower()
            raise InputError(f"{field} is {first['input']!r}: {reason}") from error
