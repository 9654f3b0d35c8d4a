"""Options that hold a list: comma-separated text on the command line, a list in files and in code."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypeAlias

from pydantic import BaseModel, BeforeValidator

from nas_peft.settings.baselines import baseline_names

AUGMENTATIONS = ("none", "crop", "crop-flip", "strong", "mixup", "cutmix", "augmix")
"""The names in `supernet.AUGMENTATIONS`, here without the import of torch."""

UNCROPPED = ("none", "augmix")
"""Those that show the whole image, as in `supernet.augmentation`."""

CLASS_BALANCES = ("none", "weighted", "sampled", "logit-adjusted", "head-retrained")
"""The names in `supernet.class_balance.CLASS_BALANCES`."""

TRACKERS = ("tensorboard", "wandb", "mlflow")
"""The names in `nas_peft.tracking.tracker.TRACKERS`, here without an import of their libraries."""

STARTS = ("pretrained", "inherited")
"""The names in `supernet.recipe.STARTS`."""


@dataclass(frozen=True)
class CommaSeparated:
    """Marks a field whose command-line option is comma-separated text.

    ``read`` turns the given text, number or list into the field's tuple, or raises ``ValueError`` with the
    remedy.
    """

    read: Callable[[Any], tuple[Any, ...] | None]


def items(value: Any) -> list[Any]:
    """The values of a list given as comma-separated text, as one number, or as a list."""
    if isinstance(value, str):
        return [text.strip() for text in value.split(",")]
    return list(value) if isinstance(value, Iterable) else [value]


def _factors(value: Any) -> tuple[float, ...]:
    try:
        factors = tuple(float(item) for item in items(value))
    except (TypeError, ValueError):
        factors = ()
    if not factors or not all(math.isfinite(f) and f > 0 for f in factors):
        raise ValueError("give comma-separated factors above 0, such as 0.3,1,3")
    if len(set(factors)) < len(factors):
        raise ValueError("give each factor once")
    return factors


def _epochs(value: Any) -> tuple[int, ...]:
    texts = [str(item) for item in items(value)]
    if not texts or not all(text.isascii() and text.isdecimal() and int(text) for text in texts):
        raise ValueError("give a whole number from 1 up, or several separated by commas, such as 4,16")
    numbers = tuple(int(text) for text in texts)
    if len(set(numbers)) < len(numbers):
        raise ValueError("give each number of epochs once")
    return numbers


def _optional_epochs(value: Any) -> tuple[int, ...] | None:
    return None if value is None else _epochs(value)


def _choices(value: Any, allowed: tuple[str, ...], what: str, example: str) -> tuple[str, ...]:
    names = tuple(str(item) for item in items(value))
    if unknown := [name for name in names if name not in allowed]:
        guess = difflib.get_close_matches(unknown[0], allowed, n=1)
        raise ValueError(
            f"unknown {what} '{unknown[0]}'; "
            + (f"did you mean '{guess[0]}'? " if guess else "")
            + f"give one of {', '.join(allowed)}, or several separated by commas, such as {example}"
        )
    if not names or len(set(names)) < len(names):
        raise ValueError(f"give each {what} once, such as {example}")
    return names


def _augmentations(value: Any) -> tuple[str, ...]:
    return _choices(value, AUGMENTATIONS, "augmentation", "none,crop")


def _class_balances(value: Any) -> tuple[str, ...]:
    return _choices(value, CLASS_BALANCES, "class balance", "none,logit-adjusted")


def _optional_class_balances(value: Any) -> tuple[str, ...] | None:
    return None if value is None else _class_balances(value)


def _trackers(value: Any) -> tuple[str, ...] | None:
    return None if value is None else _choices(value, TRACKERS, "tracker", "tensorboard,wandb")


def _numbers(value: Any, least: float, below: float, remedy: str) -> tuple[float, ...]:
    try:
        numbers = tuple(float(item) for item in items(value))
    except (TypeError, ValueError):
        numbers = ()
    if not numbers or not all(math.isfinite(number) and least <= number < below for number in numbers):
        raise ValueError(remedy)
    if len(set(numbers)) < len(numbers):
        raise ValueError("give each number once")
    return numbers


def _decays(value: Any) -> tuple[float, ...]:
    return _numbers(
        value,
        0.0,
        math.inf,
        "give a number greater than or equal to 0, or several separated by commas, such as 1e-4,1e-2",
    )


def _probabilities(value: Any) -> tuple[float, ...]:
    remedy = "give a probability from 0 to less than 1, or several separated by commas, such as 0,0.1"
    return _numbers(value, 0.0, 1.0, remedy)


def _starts(value: Any) -> tuple[str, ...]:
    return _choices(value, STARTS, "start", "pretrained,inherited")


def _optional_augmentations(value: Any) -> tuple[str, ...] | None:
    return None if value is None else _augmentations(value)


def _optional_names(value: Any) -> tuple[str, ...] | None:
    if value is None:
        return None
    names = tuple(str(item) for item in items(value))
    if not all(names) or len(set(names)) < len(names):
        raise ValueError("give each name once, separated by commas, such as lora_rank,adapter_dim")
    return names


def _names(value: Any) -> tuple[str, ...]:
    return baseline_names([str(item) for item in items(value)])


# What a file or the command line may give, as the JSON schema tells editors.
_FloatList: TypeAlias = float | str | list[float]
_IntList: TypeAlias = int | str | list[int]
_StrList: TypeAlias = str | list[str]

Factors: TypeAlias = Annotated[
    tuple[float, ...], BeforeValidator(_factors, json_schema_input_type=_FloatList), CommaSeparated(_factors)
]
"""Different factors above 0."""

Epochs: TypeAlias = Annotated[
    tuple[int, ...], BeforeValidator(_epochs, json_schema_input_type=_IntList), CommaSeparated(_epochs)
]
"""Different numbers of epochs from 1 up."""

OptionalEpochs: TypeAlias = Annotated[
    tuple[int, ...] | None,
    BeforeValidator(_optional_epochs, json_schema_input_type=_IntList | None),
    CommaSeparated(_optional_epochs),
]
"""`Epochs`, or ``None``."""

Augmentations: TypeAlias = Annotated[
    tuple[str, ...],
    BeforeValidator(_augmentations, json_schema_input_type=_StrList),
    CommaSeparated(_augmentations),
]
"""Different names of augmentations."""

OptionalAugmentations: TypeAlias = Annotated[
    tuple[str, ...] | None,
    BeforeValidator(_optional_augmentations, json_schema_input_type=_StrList | None),
    CommaSeparated(_optional_augmentations),
]
"""`Augmentations`, or ``None``."""

ClassBalances: TypeAlias = Annotated[
    tuple[str, ...],
    BeforeValidator(_class_balances, json_schema_input_type=_StrList),
    CommaSeparated(_class_balances),
]
"""Different names of class balances."""

OptionalClassBalances: TypeAlias = Annotated[
    tuple[str, ...] | None,
    BeforeValidator(_optional_class_balances, json_schema_input_type=_StrList | None),
    CommaSeparated(_optional_class_balances),
]
"""`ClassBalances`, or ``None``."""

Trackers: TypeAlias = Annotated[
    tuple[str, ...] | None,
    BeforeValidator(_trackers, json_schema_input_type=_StrList | None),
    CommaSeparated(_trackers),
]
"""Different names of trackers, or ``None``."""

Decays: TypeAlias = Annotated[
    tuple[float, ...],
    BeforeValidator(_decays, json_schema_input_type=_FloatList),
    CommaSeparated(_decays),
]
"""Different weight decays from 0 up."""

Probabilities: TypeAlias = Annotated[
    tuple[float, ...],
    BeforeValidator(_probabilities, json_schema_input_type=_FloatList),
    CommaSeparated(_probabilities),
]
"""Different probabilities below 1."""

Starts: TypeAlias = Annotated[
    tuple[str, ...], BeforeValidator(_starts, json_schema_input_type=_StrList), CommaSeparated(_starts)
]
"""Different names of starts."""

BaselineNames: TypeAlias = Annotated[
    tuple[str, ...], BeforeValidator(_names, json_schema_input_type=_StrList), CommaSeparated(_names)
]
"""Names of baselines; ``all`` and ``none`` stand for lists of names."""


def comma_separated(metadata: Iterable[Any]) -> CommaSeparated | None:
    """The `CommaSeparated` mark in a field's metadata, else ``None``."""
    return next((mark for mark in metadata if isinstance(mark, CommaSeparated)), None)


def with_lists(config: type[BaseModel], values: Mapping[str, Any]) -> dict[str, Any]:
    """``values`` of a configuration, with lists in place of the comma-separated texts that version 0.1 wrote.

    Raises ``ValueError`` for a list that cannot be read.
    """
    marks = {name: comma_separated(field.metadata) for name, field in config.model_fields.items()}

    def listed(name: str, value: Any) -> Any:
        mark = marks.get(name)
        found = value if mark is None else mark.read(value)
        return list(found) if isinstance(found, tuple) else found

    return {name: listed(name, value) for name, value in values.items()}


OptionalNames: TypeAlias = Annotated[
    tuple[str, ...] | None,
    BeforeValidator(_optional_names, json_schema_input_type=_StrList | None),
    CommaSeparated(_optional_names),
]
"""Different names, or ``None``."""
