"""The rows and the choices of the study."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from nas_peft.run.single_methods import alone, lora_everywhere
from nas_peft.settings.methods import METHODS, Method
from search_spaces import Architecture, BackboneShape
from supernet import Recipe

VTAB = "vtab"
LONGER = 3
"""The longer training has so many times the epochs."""
STEP = 3
"""The higher rate is so many times the method's, the lower one the method's over it."""

CHOICES: Mapping[str, Mapping[str, Any]] = {
    "crop": {"augmentation": "crop"},
    "crop-flip": {"augmentation": "crop-flip"},
    "strong": {"augmentation": "strong"},
    "mixup": {"augmentation": "mixup"},
    "cutmix": {"augmentation": "cutmix"},
    "label-smoothing": {"label_smoothing": 0.1},
    "drop-path": {"drop_path": 0.1},
    "module-dropout": {"module_dropout": 0.1},
    "small-scale": {"module_scale": 0.1},
    "large-scale": {"module_scale": 4.0},
    "higher-rate": {"lr": STEP},
    "lower-rate": {"lr": 1 / STEP},
    "longer": {"epochs": LONGER},
}
"""Fields of the recipe that each choice changes; ``epochs`` and ``lr`` are factors."""
FACTORS = ("epochs", "lr")

SCALES = ("small-scale", "large-scale")
"""Choices that mean nothing where modules learn their scale."""
OF_MODULES = ("module-dropout", *SCALES)
"""Choices that mean nothing where no modules are trained."""

_SEARCHED = {
    "adapter_dim": (0, 0, 16, 2, 32, 1, 4, 4),
    "lora_rank": (0, 1, 0, 0, 0, 0, 0, 0),
    "lora_rank_fc1": (0, 0, 0, 0, 0, 2, 0, 0),
    "lora_rank_pos": (16, 0, 0, 0, 0, 0, 0, 0),
    "prompt_tokens": (0, 0, 0, 0, 0, 0, 1, 0),
    "ssf": (0, 6, 6, 0, 0, 6, 6, 6),
}
"""What ``nas-peft search --dataset digits`` exported: 34,235 parameters."""


def field_of(choice: str) -> str:
    """The field of the recipe that a choice changes; a recipe has one choice of each field."""
    (field,) = CHOICES[choice]
    return field


@dataclass(frozen=True)
class StudyRow:
    """A method of the study: what is trained, and the modules in a backbone of a shape.

    ``learns_scale`` says that the modules learn their scale, so that a fixed one changes nothing.
    """

    name: str
    label: str
    method: Method
    architecture: Callable[[BackboneShape], Architecture]
    learns_scale: bool = False

    @property
    def choices(self) -> tuple[str, ...]:
        """The choices that mean something to the row."""
        modules = METHODS[self.method].trains == "modules"
        without = OF_MODULES if not modules else SCALES if self.learns_scale else ()
        return tuple(name for name in CHOICES if name not in without)

    def recipe(self, choices: tuple[str, ...], epochs: int) -> Recipe:
        """The recipe of ``choices`` (none for ``vtab``) at a default length of ``epochs``."""
        info = METHODS[self.method]
        assert info.lr is not None  # only linear probing has none
        found = Recipe(epochs, info.lr)
        for name in choices:
            fields = {
                field: value * getattr(found, field) if field in FACTORS else value
                for field, value in CHOICES[name].items()
            }
            found = replace(found, **fields)
        return found


ROWS: Mapping[str, StudyRow] = {
    row.name: row
    for row in (
        StudyRow("lora", "LoRA 4 everywhere", "subnet", lambda shape: lora_everywhere(4, shape)),
        StudyRow(
            "searched", "searched subnet", "subnet", lambda shape: Architecture.of(shape.depth, _SEARCHED)
        ),
        StudyRow(
            "adapter-plus",
            "Adapter+ 8",
            "subnet",
            lambda shape: alone("adapter_dim_plus", 8, shape),
            learns_scale=True,
        ),
        StudyRow("convpass", "Convpass 8", "subnet", lambda shape: alone("convpass", 8, shape)),
        StudyRow("full", "full fine-tuning", "full", lambda shape: Architecture.empty(shape.depth)),
    )
}
"""The rows by name, cheap ones first."""

FOLDERS = {name: name for name in ("cifar100", "caltech101", "dtd10")} | {"photo": "pacs/photo"}
"""Tasks that are folders in ``--data``."""
TASKS = ("digits", "shapes-location", "shapes-orientation", "cifar100", "dtd10", "caltech101", "photo")
