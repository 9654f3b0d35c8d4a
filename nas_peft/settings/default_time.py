"""The time of a search whose options say nothing of recipe and search."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nas_peft.settings.durations import AUTO

PLANNED_WITH = {
    *("dataset", "layout", "domains", "data_root", "shots", "skip_bad_images", "drop_duplicates"),
    *("max_pixels", "backbone", "backbone_weights", "image_size", "module_files", "seed"),
    *("budget", "count_head", "baselines", "precision", "micro_batches", "checkpointing", "pack"),
    *("metric", "objective", "robust_margin"),
}
"""Options that say nothing of recipe and search: with these alone a search is planned for ``auto``."""


def with_time(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The given options of a search, with the time ``auto`` where none says how to search and train.

    Whoever gives such an option, and no time, gets what was asked for, and the documented defaults.
    """
    if {"time", "preset"} & set(fields) or set(fields) - PLANNED_WITH:
        return dict(fields)
    return {**fields, "time": AUTO}
