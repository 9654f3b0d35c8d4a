"""The time of a search whose options say nothing of recipe and search."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from nas_peft.settings.durations import AUTO

PLANNED_WITH = {
    *("dataset", "layout", "domains", "data_root", "shots", "skip_bad_images", "drop_duplicates"),
    *("max_pixels", "backbone", "backbone_weights", "image_size", "module_files", "seed"),
    *("budget", "count_head", "baselines", "precision", "micro_batches", "checkpointing", "pack"),
    *("metric", "objective", "robust_margin", "class_balance", "l2_sp"),
    *("allow_full", "singles", "seeds", "soup", "average"),
}
"""Options that a plan leaves alone or takes in: with these alone a search is planned for ``auto``."""


def with_time(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The given options of a search, with the time ``auto`` where none says how to search and train.

    Whoever gives such an option, and no time, gets what was asked for, and the documented defaults.
    """
    if {"time", "preset"} & set(fields) or set(fields) - PLANNED_WITH:
        return dict(fields)
    return {**fields, "time": AUTO}


def said_of_no_plan(given: Iterable[str]) -> str | None:
    """What a search without a time says of the ``given`` names of options; ``None`` where a plan was made."""
    named = [f"--{name.replace('_', '-')}" for name in given if name not in PLANNED_WITH]
    if not named:
        return None
    verb = "is" if len(named) == 1 else "are"
    return (
        f"Nothing is planned, because {', '.join(named)} {verb} given without --time: other options have "
        "their defaults. Add --time auto to plan around what you give."
    )
