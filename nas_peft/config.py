"""The configuration of a search: everything that decides its result."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from search_spaces import InputError

if TYPE_CHECKING:  # the command line reads this file to print its help, and torch takes seconds to import
    from supernet import Recipe

DEFAULT_BACKBONE = "vit_micro_patch8_32"


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
    space: str = Field("default", description="preset name or YAML file")
    budget: str = Field("0.75%", description="trainable parameters: 500k, 0.4M, 0.75% (of the backbone)")
    count_head: bool = Field(False, description="count the head within the budget")
    seed: int = Field(0, ge=0, description="of every random stream")
    seeds: int = Field(1, ge=1, description="separate trainings of each subnet and baseline")
    batch_size: int = Field(64, ge=1, description="images of a training step")
    supernet_epochs: int = Field(16, ge=1, description="passes over the training images for the supernet")
    supernet_lr: float = Field(5e-3, gt=0, description="learning rate of the supernet")
    generations: int = Field(6, ge=1, description="of the evolution")
    population: int = Field(24, ge=2, description="candidates of a generation")
    parents: int = Field(8, ge=1, description="best candidates that later generations descend from")
    mutation_probability: float = Field(0.1, ge=0, le=1, description="for each size, to be redrawn")
    retrain: int = Field(3, ge=1, description="best searched subnets to train separately")
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

    def recipe(self, method: str) -> Recipe:
        """How ``supernet``, ``subnet`` or ``full`` is trained."""
        from supernet import Recipe

        epochs, lr = {
            "supernet": (self.supernet_epochs, self.supernet_lr),
            "subnet": (self.epochs, self.lr),
            "full": (self.epochs, self.full_lr),
        }[method]
        return Recipe(epochs, lr, weight_decay=self.weight_decay, batch_size=self.batch_size)

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
            field = ".".join(str(part) for part in first["loc"])
            raise InputError(f"{field} is {first['input']!r}: {first['msg'].lower()}") from error
