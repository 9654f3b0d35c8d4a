"""The recipes that a configuration gives each method of separate training."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING, Any, cast

from nas_peft.settings.methods import METHODS, Method, MethodInfo

if TYPE_CHECKING:  # the command line reads this file to print its help, and torch takes seconds to import
    from nas_peft.settings.training_config import TrainingConfig
    from supernet import Recipe

CHOICES = ("augmentation", "class_balance", "weight_decay", "drop_path", "module_dropout", "module_scale")
"""Fields of a recipe with a list of values to try, beside epochs and learning rate."""


def method_recipe(config: TrainingConfig, method: str) -> Recipe:
    """See `TrainingConfig.method_recipe`."""
    from supernet import Recipe

    info = {name: info for name, info in METHODS.items() if info.rate}[cast("Method", method)]
    return Recipe(
        _epochs(config.epochs[0], info),
        getattr(config, str(info.rate)),
        batch_size=config.batch_size,
        label_smoothing=config.label_smoothing,
        l2_sp=config.l2_sp if info.trains == "modules" else 0.0,
        start="inherited" if info.start == "pruned" else "pretrained",
        **{name: values[0] for name, values in _choices(config, method).items()},
    )


def recipes(config: TrainingConfig, method: str) -> tuple[Recipe, ...]:
    """See `TrainingConfig.recipes`."""
    own, choices = method_recipe(config, method), _choices(config, method)
    # rounded, so that 0.3 times 3e-4 is 9e-5; file names have as many digits
    rates = [own.lr if factor == 1 else float(f"{own.lr * factor:.6g}") for factor in config.lr_grid]
    info = METHODS[cast("Method", method)]
    lengths = dict.fromkeys(_epochs(epochs, info) for epochs in config.epochs)
    return tuple(
        replace(own, epochs=epochs, lr=lr, **dict(zip(choices, values, strict=True)))
        for epochs, lr, *values in product(lengths, rates, *choices.values())
    )


def first_half(config: TrainingConfig) -> Recipe:
    """The recipe of LoRA before it is pruned: that of subnets, for half of the largest number of epochs."""
    return replace(method_recipe(config, "subnet"), epochs=max(1, max(config.epochs) // 2))


def _epochs(epochs: int, info: MethodInfo) -> int:
    """The epochs of a method's trainings: the second half where they start from pruned modules."""
    return max(1, epochs - epochs // 2) if info.start == "pruned" else epochs


def _choices(config: TrainingConfig, method: str) -> dict[str, tuple[Any, ...]]:
    """The values of each choice that mean something to a method."""
    info = METHODS[cast("Method", method)]
    found = config.choices
    if info.penalty is not None:
        found["weight_decay"] = (0.0,)
    if info.trains != "modules":
        found |= {"module_dropout": (0.0,), "module_scale": (1.0,)}
    return found
