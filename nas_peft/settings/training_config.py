"""What the configurations of all runs with separate trainings have in common."""

from __future__ import annotations

import re
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from nas_peft.settings.baselines import BASELINES
from nas_peft.settings.lists import BaselineNames, Factors
from nas_peft.settings.methods import METHODS, RATES, WEIGHT_DECAY
from search_spaces import InputError

if TYPE_CHECKING:  # the command line reads this file to print its help, and torch takes seconds to import
    from supernet import Execution, Precision, Recipe

DEFAULT_BACKBONE = "vit_micro_patch8_32"

_C = TypeVar("_C", bound="TrainingConfig")


class TrainingConfig(BaseModel):
    """Data, backbone, budget, and how single methods, baselines and searched subnets are trained alone.

    The learning rates are peak values; see `supernet.Recipe` for the rest of the recipe, and
    docs/log/learning_rates.md for how the defaults were chosen (on validation data).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: str = Field(
        description="embedded name, folder, CSV or TSV of paths and labels, or timm data set name"
    )
    layout: Literal["auto", "parts", "classes"] = Field(
        "auto", description="whether the folders in --dataset are parts or classes; auto: by their names"
    )
    domains: bool = Field(
        False, description="the folders above the images are DOMAIN/CLASS; pool the domains"
    )
    data_root: Path | None = Field(None, description="where timm's data sets are or are downloaded to")
    shots: int | None = Field(None, ge=1, description="training images per class; all if not given")
    skip_bad_images: bool = Field(False, description="leave out unreadable images and list them")
    drop_duplicates: bool = Field(
        False, description="leave out training images that are in validation or test too, or nearly so"
    )
    max_pixels: int = Field(89_478_485, ge=1, description="largest image to decode, in pixels")
    backbone: str = Field(DEFAULT_BACKBONE, description="name of a timm ViT")
    backbone_weights: Path | None = Field(None, description="weights file instead of the name's own")
    image_size: str | None = Field(
        None, description="pixels, such as 48 or 32x48 (height first), instead of the backbone's own"
    )
    budget: str = Field("0.75%", description="trainable parameters: 500k, 0.4M, 0.75% (of the backbone)")
    count_head: bool = Field(False, description="count the head within the budget")
    seed: int = Field(0, ge=0, description="of every random stream")
    seeds: int = Field(1, ge=1, description="separate trainings of each subnet and baseline")
    batch_size: int = Field(64, ge=1, description="images of a training step")
    epochs: int = Field(8, ge=1, description="of each separate training")
    lr: float = Field(RATES["lr"], gt=0, description="learning rate of subnets and single methods")
    full_lr: float = Field(
        RATES["full_lr"], gt=0, description="learning rate of full fine-tuning, LP-FT and L2-SP"
    )
    bitfit_lr: float = Field(RATES["bitfit_lr"], gt=0, description="learning rate of BitFit")
    lr_grid: Factors = Field(
        (1.0,),
        description="factors on each method's learning rate, such as 0.3,1,3; each subnet, single method and "
        "baseline uses the one that is best on validation data",
    )
    early_stopping: bool = Field(
        False,
        description="with several factors in --lr-grid: end a training early that is behind others of the "
        "same row (ASHA, on the validation loss); which are ended depends on which come first, so two runs "
        "may differ",
    )
    baselines: BaselineNames = Field(
        ("linear", "full"),
        description="what to compare with: linear, full, lp-ft, l2-sp, bitfit, and at published sizes "
        "vpt-shallow, vpt-deep, lora, adapter, ssf; or all, or none; noah, after a search of its own",
    )
    single_sizes: int = Field(
        1,
        ge=1,
        description="sizes of each single method to try: the largest within the budget, half of it ...; "
        "validation data choose one",
    )
    soup: int = Field(
        0,
        ge=0,
        description="trainings from one initialisation whose weights are averaged, of the best searched "
        "subnet and of full fine-tuning: uniform soup, greedy soup, WiSE-FT; 0 or at least 2",
    )
    head_epochs: int = Field(
        20, ge=0, description="of the head alone before each training, on cached features; 0: a random head"
    )
    head_lr: float = Field(3e-3, gt=0, description="learning rate of the head alone before each training")
    linear_epochs: int = Field(100, ge=1, description="of linear probing, on cached features")
    linear_lr: float | None = Field(
        None, gt=0, description="learning rate of linear probing; chosen by validation loss if not given"
    )
    weight_decay: float = Field(WEIGHT_DECAY, ge=0, description="AdamW's")
    precision: Literal["auto", "fp32", "tf32", "bf16"] = Field(
        "auto",
        description="number format of forward and backward passes, in all trainings and evaluations; auto: "
        "bf16 on a GPU, fp32 on a CPU; the head and the losses are float32 in each",
    )
    micro_batches: int = Field(
        1, ge=1, description="parts of a batch, one after the other: less memory, in all trainings"
    )
    checkpointing: bool = Field(
        False, description="recompute activations in the backward pass: less memory, in all trainings"
    )

    pack: int | None = Field(
        None,
        ge=1,
        description="trainings of subnets and single methods at most that share one process and one frozen "
        "backbone, with the results of training alone up to rounding; by default 1 on a CPU, and on GPUs up "
        "to 8, as many as leave no GPU idle",
    )

    @model_validator(mode="after")
    def _require_used(self) -> TrainingConfig:
        rates = {METHODS[BASELINES[name].method].rate for name in self.baselines}
        for name, of in (("full_lr", "full, lp-ft and l2-sp"), ("bitfit_lr", "bitfit")):
            if getattr(self, name) != RATES[name] and name not in rates:
                raise ValueError(
                    f"{name} is {getattr(self, name)}, which only {of} read, and the baselines are "
                    f"'{','.join(self.baselines)}'; leave {name} out, or add one of them"
                )
        if self.early_stopping and len(self.lr_grid) == 1:
            raise ValueError(
                "early_stopping ends trainings of a row that differ in their learning rate, and lr_grid has "
                "one factor; give several, such as --lr-grid 0.3,1,3, or leave early_stopping out"
            )
        if self.early_stopping and self.pack not in (None, 1):
            raise ValueError(
                f"early_stopping ends single trainings, and pack is {self.pack}; leave one of them out"
            )
        if self.micro_batches > self.batch_size:
            raise ValueError(
                f"a batch of {self.batch_size} images is too small for {self.micro_batches} parts "
                "(micro_batches); give a larger batch_size or fewer parts"
            )
        return self

    @field_validator("dataset")
    @classmethod
    def _without_slash(cls, value: str) -> str:
        return str(PurePath(value)) if value.strip("/") else value  # one spelling for one folder

    @field_validator("image_size")
    @classmethod
    def _require_pixels(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"[1-9][0-9]*(x[1-9][0-9]*)?", value):
            raise ValueError("give pixels, such as 48 or 32x48 (height first)")
        return value

    @field_validator("soup")
    @classmethod
    def _require_several(cls, value: int) -> int:
        if value == 1:
            raise ValueError("an average needs 2 trainings or more; give 0 for none")
        return value

    def on(self: _C, device: str) -> _C:
        """The same with the device's own precision where ``auto`` stands: what a run records."""
        from supernet import default_precision

        if self.precision != "auto":
            return self
        return self.model_copy(update={"precision": default_precision(device)})

    @property
    def chosen_precision(self) -> Precision:
        """The precision of all computations; ``auto`` counts as fp32 until `on` has replaced it."""
        return "fp32" if self.precision == "auto" else self.precision

    def pixels(self) -> tuple[int, int] | None:
        """Height and width of images, where they are not the backbone's own."""
        if self.image_size is None:
            return None
        sides = [int(side) for side in self.image_size.split("x")]
        return sides[0], sides[-1]

    def recipe(self, method: str) -> Recipe:
        """The recipe of a method of `METHODS` but linear probing, at the method's own learning rate."""
        from supernet import Recipe

        info = {name: info for name, info in METHODS.items() if info.rate}[method]  # type: ignore[index]
        decay = self.weight_decay if info.penalty is None else 0.0
        return Recipe(
            self.epochs, getattr(self, str(info.rate)), weight_decay=decay, batch_size=self.batch_size
        )

    def rates(self, method: str) -> tuple[float, ...]:
        """The learning rates that a method is tried with, in the order of the grid."""
        own = self.recipe(method).lr
        # rounded, so that 0.3 times 3e-4 is 9e-5; file names have as many digits
        return tuple(own if factor == 1 else float(f"{own * factor:.6g}") for factor in self.lr_grid)

    def execution(self, method: str) -> Execution:
        """How trainings of a method are carried out."""
        from supernet import Execution

        return Execution(
            precision=self.chosen_precision,
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
    def of(cls: type[_C], **values: Any) -> _C:
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
