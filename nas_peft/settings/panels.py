"""Panels of options in the help of the command line; the fields of the configurations carry theirs."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import Any


class Panel(Enum):
    """A heading in ``--help-all``, in the order of the screen; it stands in a field's annotation."""

    DATA = "Data"
    BACKBONE = "Backbone"
    BUDGET = "Budget and time"
    RECIPE = "Recipe"
    SUPERNET = "Supernet"
    SEARCH = "Search"
    COMPARISON = "Comparison"
    CLUSTER = "Devices and cluster"
    OUTPUT = "Output"


class Screen(Enum):
    """A heading of the first screen of help, for options that many need; it stands in their annotations."""

    TASK = "Data, backbone and size"
    TIME = "Time"
    TRAININGS = "Trainings"
    RUN = "The run"


def panel_of(metadata: Iterable[Any]) -> str | None:
    """The heading of a field's panel, from the field's metadata."""
    return next((mark.value for mark in metadata if isinstance(mark, Panel)), None)


def screen_of(metadata: Iterable[Any]) -> str | None:
    """The heading of a field on the first screen; ``None`` if the field is not there."""
    return next((mark.value for mark in metadata if isinstance(mark, Screen)), None)
