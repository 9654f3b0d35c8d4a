"""One separate training: method and recipe, initial values, and data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote

from nas_peft.settings.methods import Method
from search_spaces import Architecture
from supernet import Execution, Recipe
from supernet.execution import PLAIN


@dataclass(frozen=True)
class Training:
    """One training of the frozen backbone's modules, or of all its weights.

    ``name`` identifies the training in files. ``on`` is the data: ``"train"`` is the training set, and the
    result is scored on the validation set; ``"train_val"`` is both, for a final model. With ``head`` the head
    is first trained alone by that recipe (as in LP-FT, arXiv 2202.10054). Where the recipe starts from
    ``inherited`` weights, `InheritedStarts` has them by ``name``. ``keep`` stores the trained
    tensors for ``on="train"`` too, and does not change the training. ``seed`` decides the order of the
    images and, unless ``init_seed`` is given, the initial values; trainings of one name and ``init_seed``
    start from the same network, so that their weights can be averaged. ``names_epochs`` puts the number of
    epochs into the file name, where trainings of one name differ in it; ``names_decay`` the weight decay.
    With ``without`` the images of that domain are left out of the training set, and the result is scored on
    them.
    """

    name: str
    method: Method
    architecture: Architecture
    recipe: Recipe
    head: Recipe | None
    seed: int
    on: Literal["train", "train_val"]
    execution: Execution = PLAIN
    keep: bool = False
    init_seed: int | None = None
    names_epochs: bool = False
    names_decay: bool = False
    without: str | None = None

    @property
    def key(self) -> str:
        """File name in the run folder, such as ``full.train.lr0.0003.seed0``.

        ``full.train.e24.crop.lr0.0003.seed0.init0`` has its number of epochs named, an augmentation and an
        ``init_seed``; a class balance follows the augmentation. ``.inherited`` stands before the epochs of a
        training that starts from such weights, and ``.without-photo`` before both where a domain is left out.
        """
        recipe = self.recipe
        epochs = f".e{recipe.epochs}" if self.names_epochs else ""
        variants = "".join(f".{name}" for name in recipe.variants)
        decay = f".wd{recipe.weight_decay:g}" if self.names_decay else ""
        start = "" if self.init_seed is None else f".init{self.init_seed}"
        inherited = ".inherited" if recipe.start == "inherited" else ""
        less = "" if self.without is None else f".without-{quote(self.without, safe='')}"
        choices = f"{less}{inherited}{epochs}{variants}{decay}"
        return f"{self.name}.{self.on}{choices}.lr{recipe.lr:g}.seed{self.seed}{start}"

    @property
    def start_seed(self) -> int:
        """Seed of the initial values."""
        return self.seed if self.init_seed is None else self.init_seed

    def to_dict(self) -> dict[str, Any]:
        """All fields but ``keep``, JSON-able."""
        return {
            "name": self.name,
            "method": self.method,
            "architecture": self.architecture.to_dict(),
            "recipe": self.recipe.to_dict(),
            "head": self.head.to_dict() if self.head else None,
            "seed": self.seed,
            "on": self.on,
            "execution": self.execution.to_dict(),
            "init_seed": self.init_seed,
            "names_epochs": self.names_epochs,
            "names_decay": self.names_decay,
            **({} if self.without is None else {"without": self.without}),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Training:
        """The inverse of `to_dict`; ``keep`` is False, and other keys are ignored."""
        head = data["head"]
        return cls(
            name=data["name"],
            method=data["method"],
            architecture=Architecture.from_dict(data["architecture"]),
            recipe=Recipe(**data["recipe"]),
            head=Recipe(**head) if head else None,
            seed=data["seed"],
            on=data["on"],
            execution=Execution(**data["execution"]),
            init_seed=data.get("init_seed"),
            names_epochs=data.get("names_epochs", False),
            names_decay=data.get("names_decay", False),
            without=data.get("without"),
        )
