"""Options shared by all runs with separate trainings."""

from __future__ import annotations

import re
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, cast

import yaml
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from nas_peft.settings.lists import (
    UNCROPPED,
    Augmentations,
    BaselineNames,
    ClassBalances,
    Decays,
    Epochs,
    Factors,
    OptionalNames,
    Probabilities,
)
from nas_peft.settings.method_recipes import CHOICES, method_recipe, recipes
from nas_peft.settings.methods import RATES, WEIGHT_DECAY
from nas_peft.settings.metric import Metric
from nas_peft.settings.panels import Panel, Screen
from nas_peft.settings.used_options import require_used
from nas_peft.settings.validation import validated
from nas_peft.settings.whole_recipes import with_recipe

if TYPE_CHECKING:  # the command line reads this file to print its help, and torch takes seconds to import
    from supernet import Execution, Precision, Recipe
    from supernet.class_balance import ClassBalanceName

DEFAULT_BACKBONE = "vit_micro_patch8_32"
FOR_REAL_USE = "vit_base_patch16_224.augreg_in21k"
"""A backbone that the tool names where the default one is too small for the images."""

_C = TypeVar("_C", bound="TrainingConfig")


class TrainingConfig(BaseModel):
    """Data, backbone, budget, and the separate training of single methods, baselines and searched subnets.

    Learning rates are peak values; `supernet.Recipe` has the rest of the recipe, and
    docs/log/learning_rates.md explains how the defaults were chosen (on validation data).
    """

    # built when first used: the command line reads the fields to print its help
    model_config = ConfigDict(
        frozen=True, extra="forbid", coerce_numbers_to_str=True, defer_build=True, allow_inf_nan=False
    )

    dataset: Annotated[str, Panel.DATA, Screen.TASK] = Field(
        description="Folder of images, CSV or TSV file of paths and labels, or name of a data set"
    )
    layout: Annotated[Literal["auto", "parts", "classes"], Panel.DATA] = Field(
        "auto",
        description="Meaning of the folders in --dataset: parts (train, val, test) or classes; auto decides "
        "by their names",
    )
    domains: Annotated[bool, Panel.DATA] = Field(
        False, description="Read the folders above the images as DOMAIN/CLASS and pool the domains"
    )
    data_root: Annotated[Path | None, Panel.DATA] = Field(
        None, description="Folder of timm data sets, also for downloads"
    )
    shots: Annotated[int | None, Panel.DATA] = Field(
        None, ge=1, description="Training images per class; by default all"
    )
    skip_bad_images: Annotated[bool, Panel.DATA] = Field(
        False, description="Leave out unreadable images and list them"
    )
    drop_duplicates: Annotated[bool, Panel.DATA] = Field(
        False,
        description="Leave out training images that the validation or test set also has, exactly or nearly, "
        "and validation images that the test set has",
    )
    max_pixels: Annotated[int, Panel.DATA] = Field(
        89_478_485, ge=1, description="Largest image to decode, in pixels"
    )
    backbone: Annotated[str, Panel.BACKBONE, Screen.TASK] = Field(
        DEFAULT_BACKBONE,
        description="Pretrained Vision Transformer: a name of timm (nas-peft backbones lists them), "
        "hf-hub:OWNER/NAME or local-dir:FOLDER; the default is a small one for trying the tool",
    )
    backbone_weights: Annotated[Path | None, Panel.BACKBONE] = Field(
        None, description="Weights file instead of the backbone's own"
    )
    image_size: Annotated[str | None, Panel.BACKBONE] = Field(
        None,
        description="Image size in pixels, such as 48 or 32x48 (height first); by default the backbone's own",
    )
    budget: Annotated[str, Panel.BUDGET, Screen.TASK] = Field(
        "0.75%", description="Most trainable parameters: 500k, 0.4M, 0.75% (of the backbone)"
    )
    count_head: Annotated[bool, Panel.BUDGET] = Field(False, description="Count the head towards the budget")
    seed: Annotated[int, Panel.RECIPE, Screen.TRAININGS] = Field(
        0, ge=0, description="Seed of all random draws"
    )
    seeds: Annotated[int, Panel.COMPARISON, Screen.TRAININGS] = Field(
        1, ge=1, description="Separate trainings of each subnet and baseline"
    )
    batch_size: Annotated[int, Panel.RECIPE] = Field(64, ge=1, description="Images in each training step")
    epochs: Annotated[Epochs, Panel.RECIPE, Screen.TRAININGS] = Field(
        (8,),
        description="Epochs of each retraining and baseline; given several, such as 8,24, validation data "
        "choose one for each subnet, single method and baseline",
    )
    augmentation: Annotated[Augmentations, Panel.RECIPE] = Field(
        ("none",),
        description="Augmentation of the training images: none, crop, crop-flip, strong (crop-flip with "
        "TrivialAugment and random erasing), mixup or cutmix (crop, with another image mixed in), or augmix "
        "(mixed with changed versions of itself, for shifted data); given "
        "several, such as none,crop, validation data choose one for each subnet, single method and baseline",
    )
    class_balance: Annotated[ClassBalances, Panel.RECIPE] = Field(
        ("none",),
        description="Treatment of classes of unequal size: none, weighted (the loss, by the inverse size), "
        "sampled (batches with every class equally likely), logit-adjusted (training with logits shifted by "
        "the class shares), or head-retrained (as none, then the head alone, every class equally likely); "
        "given several, such as none,logit-adjusted, validation data choose one for each subnet, single "
        "method and baseline",
    )
    label_smoothing: Annotated[float, Panel.RECIPE] = Field(
        0.0,
        ge=0,
        lt=1,
        description="Share of each label that is spread evenly over all classes, in all trainings but those "
        "of a head alone",
    )
    lr: Annotated[float, Panel.RECIPE] = Field(
        RATES["lr"], gt=0, description="Peak learning rate of subnets and single methods"
    )
    full_lr: Annotated[float, Panel.RECIPE] = Field(
        RATES["full_lr"], gt=0, description="Peak learning rate of full fine-tuning, LP-FT and L2-SP"
    )
    bitfit_lr: Annotated[float, Panel.RECIPE] = Field(
        RATES["bitfit_lr"], gt=0, description="Peak learning rate of BitFit"
    )
    lr_grid: Annotated[Factors, Panel.RECIPE] = Field(
        (1.0,),
        description="Factors to try on the learning rate, such as 0.3,1,3; validation data choose one for "
        "each subnet, single method and baseline",
    )
    early_stopping: Annotated[bool, Panel.RECIPE] = Field(
        False,
        description="Stop trainings early that are behind others of the same row, epochs and augmentation, "
        "given several factors in --lr-grid (ASHA, on the validation loss); the outcome depends on the order "
        "in which trainings report, so two runs may differ",
    )
    halving: Annotated[bool, Panel.RECIPE] = Field(
        False,
        description="Start with the fewest of several --epochs; the better third of each row's recipes goes "
        "on to the next number, and the worse half of the searched subnets and of the single methods is "
        "dropped; baselines stay",
    )
    baselines: Annotated[BaselineNames, Panel.COMPARISON] = Field(
        ("linear", "full"),
        description="Baselines to compare with, separated by commas (nas-peft recipes lists them); linear, "
        "full, lp-ft, l2-sp, bitfit; at published sizes vpt-shallow, vpt-deep, lora, adapter, ssf, "
        "adapter-plus, eva, convpass; within the budget lora-pruned; all or none of these; and noah, with "
        "its own search",
    )
    allow_full: Annotated[bool, Panel.COMPARISON] = Field(
        False,
        description="Let full fine-tuning compete for the export; where it wins, the subnet file holds the "
        "whole backbone",
    )
    singles: Annotated[OptionalNames, Panel.COMPARISON] = Field(
        None,
        description="Single methods to compare with: module kinds, such as lora_rank,adapter_dim_plus, "
        "lora-everywhere (LoRA of one rank on all projections, and on positions), houlsby (adapters after "
        "attention and MLP) and convpass (beside both); by default VPT, LoRA, adapter, SSF, and every other "
        "kind of the space",
    )
    single_sizes: Annotated[int, Panel.COMPARISON] = Field(
        1,
        ge=1,
        description="Number of sizes to try for each single method: the largest within the budget, half of "
        "that and so on; validation data choose one",
    )
    soup: Annotated[int, Panel.COMPARISON] = Field(
        0,
        ge=0,
        description="Trainings from one initialisation to average for the best searched subnet and for full "
        "fine-tuning (uniform soup, greedy soup, WiSE-FT); 0 for none, else at least 2",
    )
    average: Annotated[int, Panel.COMPARISON] = Field(
        0,
        ge=0,
        description="Trainings of the exported subnet, in other orders of the images, whose mean is exported "
        "unless it is worse on validation data; 0 for none, else at least 2",
    )
    l2_sp: Annotated[float, Panel.RECIPE] = Field(
        0.0,
        ge=0,
        description="Strength of L2-SP for modules in retrainings and single methods: the penalty on their "
        "distance from the pretrained function; 0 for none (the baseline l2-sp has its own)",
    )
    head_epochs: Annotated[int, Panel.RECIPE] = Field(
        20, ge=0, description="Epochs of training the head alone before each training; 0 for a random head"
    )
    head_lr: Annotated[float, Panel.RECIPE] = Field(
        3e-3, gt=0, description="Peak learning rate of the head-only training"
    )
    linear_epochs: Annotated[int, Panel.RECIPE] = Field(100, ge=1, description="Epochs of linear probing")
    linear_lr: Annotated[float | None, Panel.RECIPE] = Field(
        None, gt=0, description="Peak learning rate of linear probing; by default chosen on validation data"
    )
    weight_decay: Annotated[Decays, Panel.RECIPE] = Field(
        (WEIGHT_DECAY,),
        description="AdamW weight decay; given several, such as 1e-4,1e-2, validation data choose one for "
        "each subnet, single method and baseline",
    )
    drop_path: Annotated[Probabilities, Panel.RECIPE] = Field(
        (0.0,),
        description="Probability that a branch of the last layer is left out for an image in training, "
        "rising linearly from 0 in the first layer; given several, such as 0,0.1, validation data choose one "
        "for each subnet, single method and baseline",
    )
    module_dropout: Annotated[Probabilities, Panel.RECIPE] = Field(
        (0.0,),
        description="Probability that the changes of a layer's modules are left out for a training image; "
        "given several, such as 0,0.1, validation data choose one for each subnet and single method",
    )
    module_scale: Annotated[Factors, Panel.RECIPE] = Field(
        (1.0,),
        description="Factor of the output projections of modules that learn no scale; given several, such as "
        "0.1,1,4, validation data choose one for each subnet and single method",
    )
    recipe: Annotated[str | None, Panel.RECIPE] = Field(
        None,
        description="Whole recipe: vtab or adapter-plus (nas-peft recipes describes them), or a YAML file of "
        "options of recipes; options that are given beside it win",
    )
    metric: Annotated[Metric, Panel.COMPARISON] = Field(
        "accuracy",
        description="Measure on validation data that decides between trained networks; with "
        "balanced-accuracy and macro-f1 the search ranks subnets by the class-balanced loss",
    )
    precision: Annotated[Literal["auto", "fp32", "tf32", "bf16"], Panel.CLUSTER] = Field(
        "auto",
        description="Number format of forward and backward passes in all trainings and evaluations; auto is "
        "bf16 on a GPU and fp32 on a CPU; the head and the losses are always float32",
    )
    micro_batches: Annotated[int, Panel.CLUSTER] = Field(
        1, ge=1, description="Micro-batches that each batch is split into, to save memory, in all trainings"
    )
    checkpointing: Annotated[bool, Panel.CLUSTER] = Field(
        False, description="Recompute activations in the backward pass, to save memory, in all trainings"
    )

    pack: Annotated[int | None, Panel.CLUSTER] = Field(
        None,
        ge=1,
        description="Most trainings of subnets and single methods to run in one process on one frozen "
        "backbone, with the same results up to rounding; by default 1 on a CPU and up to 8 on a GPU, as many "
        "as leave no GPU idle",
    )

    @model_validator(mode="before")
    @classmethod
    def _with_recipe(cls, values: Any) -> Any:
        return with_recipe(values, cls.model_fields) if isinstance(values, dict) else values

    @model_validator(mode="after")
    def _require_used(self) -> TrainingConfig:
        require_used(self)
        return self

    @property
    def awaits_plan(self) -> bool:
        """Whether a plan is still to set options that were not given."""
        return False

    @property
    def several_recipes(self) -> bool:
        """Whether any row has several recipes to try."""
        return any(len(values) > 1 for values in (self.epochs, self.lr_grid, *self.choices.values()))

    @property
    def choices(self) -> dict[str, tuple[Any, ...]]:
        """The values to try of each field of a recipe beside epochs and learning rate."""
        return {name: getattr(self, name) for name in CHOICES}

    @property
    def several_lengths(self) -> bool:
        """Whether any row has several numbers of epochs to try."""
        return len(self.epochs) > 1

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

    @field_validator("soup", "average")
    @classmethod
    def _require_several(cls, value: int) -> int:
        if value == 1:
            raise ValueError("give 0 for none, or 2 or more trainings to average")
        return value

    def on(self: _C, device: str) -> _C:
        """The configuration to record: ``auto`` replaced with the precision of ``device``."""
        from supernet import default_precision

        if self.precision != "auto":
            return self
        return self.model_copy(update={"precision": default_precision(device)})

    @property
    def chosen_precision(self) -> Precision:
        """Precision of all computations; ``auto`` counts as fp32 until `on` has replaced it."""
        return "fp32" if self.precision == "auto" else self.precision

    def pixels(self) -> tuple[int, int] | None:
        """Image height and width in pixels, or ``None`` for the backbone's own."""
        if self.image_size is None:
            return None
        sides = [int(side) for side in self.image_size.split("x")]
        return sides[0], sides[-1]

    def method_recipe(self, method: str) -> Recipe:
        """Recipe of a method of `METHODS` other than linear probing.

        It has the method's own learning rate and the first of several values of each choice.
        """
        return method_recipe(self, method)

    def recipes(self, method: str) -> tuple[Recipe, ...]:
        """Recipes to try for a method: all combinations of the values of each choice.

        A method with a penalty in place of weight decay has no choice of weight decays, and a method that
        trains no modules has no dropout of modules.
        """
        return recipes(self, method)

    @property
    def cuts_crops(self) -> bool:
        """Whether any training may crop its images."""
        return any(name not in UNCROPPED for name in self.augmentation)

    def searched_recipes(self) -> tuple[Recipe, ...]:
        """Recipes to try for subnets that a search has found."""
        return self.recipes("subnet")

    def execution(self, method: str) -> Execution:
        """Precision and memory settings for training a method."""
        from supernet import Execution

        return Execution(
            precision=self.chosen_precision,
            micro_batches=self.micro_batches,
            checkpointing=self.checkpointing,
        )

    def head_recipe(self) -> Recipe | None:
        """Recipe for training the head alone before another training; ``None`` for a random head."""
        from supernet import Recipe

        if not self.head_epochs:
            return None
        return Recipe(
            self.head_epochs, self.head_lr, weight_decay=self.weight_decay[0], batch_size=self.batch_size
        )

    def linear_recipe(self, lr: float, class_balance: str = "none") -> Recipe:
        """Recipe of a linear probe at the chosen learning rate and class balance."""
        from supernet import Recipe

        return Recipe(
            self.linear_epochs,
            lr,
            weight_decay=self.weight_decay[0],
            batch_size=self.batch_size,
            class_balance=cast("ClassBalanceName", class_balance),
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-able values in the order of the fields."""
        return self.model_dump(mode="json")

    def to_yaml(self) -> str:
        """Text of ``config.yaml`` in the run folder."""
        return yaml.safe_dump(self.to_dict(), sort_keys=False)

    @classmethod
    def of(cls: type[_C], **values: Any) -> _C:
        """Validate ``values``. Raises `InputError` naming the field, the value and what is allowed."""
        return validated(cls, values)
