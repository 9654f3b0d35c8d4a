"""Whole recipes for ``--recipe``: those that papers publish, and files of one's own."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas_peft.settings.option_file import read_option_file
from nas_peft.settings.validation import nearest


@dataclass(frozen=True)
class WholeRecipe:
    """A published recipe: its name, what it is, and the options that it sets."""

    name: str
    about: str
    options: Mapping[str, Any]


_VTAB: Mapping[str, Any] = {
    "epochs": 100,
    "lr": 1e-3,
    "lr_grid": 1,
    "batch_size": 64,
    "weight_decay": 1e-4,
    "augmentation": "none",
    "class_balance": "none",
    "label_smoothing": 0,
    "drop_path": 0,
    "module_dropout": 0,
    "module_scale": 1,
}

RECIPES: Mapping[str, WholeRecipe] = {
    recipe.name: recipe
    for recipe in (
        WholeRecipe(
            "vtab",
            "as NOAH retrains on VTAB-1k (arXiv 2206.04673): 100 epochs at a peak rate of 1e-3, batches of "
            "64, weight decay 1e-4, no augmentation",
            _VTAB,
        ),
        WholeRecipe(
            "adapter-plus",
            "vtab with the stochastic depth of Adapter+ (arXiv 2406.06820): drop path 0.1",
            {**_VTAB, "drop_path": 0.1},
        ),
    )
}
"""Published recipes by name. The brief training of the head and the full fine-tuning rates stay ours."""

RECIPE_OPTIONS = (
    *("epochs", "lr", "full_lr", "bitfit_lr", "lr_grid", "batch_size", "weight_decay", "augmentation"),
    *("class_balance", "label_smoothing", "drop_path", "module_dropout", "module_scale"),
    *("head_epochs", "head_lr", "linear_epochs", "linear_lr"),
    *("supernet_epochs", "supernet_lr", "supernet_augmentation", "supernet_class_balance"),
    *("start", "inherited_epochs"),
)
"""Options that a recipe may set; the last six are those of a search."""


def with_recipe(values: Mapping[str, Any], fields: Collection[str]) -> dict[str, Any]:
    """The ``values`` of a configuration with ``fields``, after the options of the recipe that they name.

    Given values win over the recipe's. A configuration that has all options of recipes, as a run folder
    records it, is returned as it is: the recipe's file may be gone. Raises ``ValueError`` for an unknown name
    and a file that cannot be used.
    """
    allowed = [name for name in RECIPE_OPTIONS if name in fields]
    name = values.get("recipe")
    if name is None or all(option in values for option in allowed):
        return dict(values)
    found = RECIPES.get(str(name))
    options = _of_file(Path(str(name)), fields, allowed) if found is None else found.options
    return {**options, **values}


def _of_file(file: Path, fields: Collection[str], allowed: Collection[str]) -> dict[str, Any]:
    if not file.is_file():
        raise ValueError(
            f"recipe is '{file}', which is neither a published recipe nor a file"
            f"{nearest(str(file), RECIPES)} give one of {', '.join(RECIPES)}, or a YAML file of options"
        )
    options = read_option_file(file, fields)
    if not options:
        raise ValueError(f"the recipe '{file}' sets nothing; write lines such as 'epochs: 24' into it")
    if others := [option for option in options if option not in allowed]:
        raise ValueError(
            f"the recipe '{file}' sets '{others[0]}', which is no part of a recipe; give it as an option of "
            f"the command, and leave in the file only some of {', '.join(allowed)}"
        )
    return options
