"""Checks of a subnet file's header: any program may have written the file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any

from supernet.preprocessing import Preprocessing

Check = Callable[[Any], bool]

_INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "box", "hamming", "lanczos", "random")
_CROPS = ("center", "squash", "border")
_MOST_PIXELS = 2**14  # a side of the images that the network sees


def invalid_entry(header: Mapping[str, Any]) -> str | None:
    """Name of the first entry that is not of the format, such as ``training.on``; ``None`` if all are."""
    for name, check in ENTRIES.items():
        if not check(header.get(name)):
            return name
    for name, fields in OPTIONAL.items():
        if wrong := _wrong_field(header[name], fields, name):
            return wrong
    return _wrong_field(header["training"].get("dataset", {}), DATASET, "training.dataset")


def _wrong_field(entry: Mapping[str, Any], fields: Mapping[str, Check], name: str) -> str | None:
    return next((f"{name}.{f}" for f, check in fields.items() if f in entry and not check(entry[f])), None)


def _is_backbone(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    side = value.get("image_size")  # absent from files of versions without it
    sized = side is None or (isinstance(side, list) and len(side) == 2 and all(map(_is_side, side)))
    held = value.get("in_file", False)  # absent before version 3
    return (
        sized
        and isinstance(held, bool)
        and all(_is_text(value.get(key)) for key in ("name", "weights", "digest"))
    )


def _is_preprocessing(value: Any) -> bool:
    try:
        found = Preprocessing.from_dict(value)
    except (KeyError, TypeError, ValueError):
        return False
    return (
        found.input_size[0] == 3
        and all(map(_is_side, found.input_size[1:]))
        and all(len(values) == 3 and all(map(_is_number, values)) for values in (found.mean, found.std))
        and all(value > 0 for value in found.std)
        and found.interpolation in _INTERPOLATIONS
        and _is_number(found.crop_pct)
        and 0 < found.crop_pct <= 2
        and (found.crop_mode is None or found.crop_mode in _CROPS)
    )


def _is_side(value: Any) -> bool:
    return type(value) is int and 0 < value <= _MOST_PIXELS


def _is_temperature(value: Any) -> bool:
    return value is None or (_is_number(value) and value > 0)


def _are_classes(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(map(_is_text, value))


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and isfinite(value)


def _is_share(value: Any) -> bool:
    return value is None or (_is_number(value) and 0 <= value <= 1)


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**63


def _are_objects(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(map(_is_object, value))


def _are_counts(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_is_count, value.values()))


def _are_texts(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_is_text, value.values()))


ENTRIES: dict[str, Check] = {
    "backbone": _is_backbone,
    "architecture": _is_object,
    "classes": _are_classes,
    "preprocessing": _is_preprocessing,
    "metrics": _is_object,
    "training": _is_object,
    "temperature": _is_temperature,
}
"""Entries that every header has."""

OPTIONAL: dict[str, dict[str, Check]] = {
    "metrics": {
        **dict.fromkeys(
            (
                *("val_accuracy", "val_balanced_accuracy", "val_macro_f1"),
                *("test_accuracy", "test_balanced_accuracy", "test_macro_f1"),
            ),
            _is_share,
        ),
        **dict.fromkeys(("val_loss", "test_loss"), _is_number),
        **dict.fromkeys(("metric", "protocol"), _is_text),
    },
    "training": {
        **dict.fromkeys(("name", "on", "weights", "nas_peft"), _is_text),
        **dict.fromkeys(("training", "recipe", "dataset"), _is_object),
        "mean_of": _are_objects,
        "alpha": _is_number,
    },
}
"""Fields of entries that commands read where they are there."""

DATASET: dict[str, Check] = {
    **dict.fromkeys(("spec", "source"), _is_text),
    "seed": _is_count,
    "skipped": lambda value: isinstance(value, list),
    "counts": _are_counts,
    "splits": _are_texts,
}
"""Fields of ``training.dataset`` that commands read where they are there."""
