"""Levels of effort: the settings of a search from the shortest to the longest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

LEVELS: tuple[Mapping[str, Any], ...] = (
    {"epochs": (2,), "supernet_epochs": (2,), "generations": 2, "population": 8, "retrain": 1},
    {"epochs": (4,), "supernet_epochs": (4,), "generations": 4, "population": 12, "retrain": 1},
    {"epochs": (8,), "supernet_epochs": (4,), "generations": 6, "population": 12, "retrain": 2},
    {
        "epochs": (8,),
        "supernet_epochs": (8,),
        "generations": 8,
        "population": 16,
        "retrain": 2,
        "augmentation": ("crop", "none"),
        "halving": True,
    },
)
"""Options of each level; each level is expected to give at least as good a result as the one before."""

AUTOMATIC_LEVEL = 4
"""Number of levels among which ``--time auto`` chooses: those whose gain was worth their time."""
