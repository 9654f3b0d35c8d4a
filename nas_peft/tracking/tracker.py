"""The interface of trackers, and those that there are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol


class Tracker(Protocol):
    """A place where the numbers of one start of a run are kept.

    Only the main process calls it, from one thread: first `begin`, last `end`. Any exception of the library
    behind it may be raised.
    """

    def begin(self, folder: Path, options: Mapping[str, Any]) -> None:
        """Begin a record of the run in ``folder``, with its configuration."""

    def numbers(self, group: str, values: Mapping[str, float], step: int) -> None:
        """Keep ``values`` of ``group`` at ``step``: an epoch from 1, or a candidate's number from 0."""

    def table(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Keep a table whose rows all have the same columns."""

    def artifact(self, file: Path) -> None:
        """Keep a file, or say where it is if the tracker keeps no files."""

    def end(self, failed: bool) -> None:
        """Write all that is not written yet, and end; ``failed`` if an error or Ctrl-C ended the run."""


def _tensorboard() -> Tracker:
    from nas_peft.tracking.tensorboard_tracker import TensorBoardTracker

    return TensorBoardTracker()


def _wandb() -> Tracker:
    from nas_peft.tracking.wandb_tracker import WandbTracker

    return WandbTracker()


def _mlflow() -> Tracker:
    from nas_peft.tracking.mlflow_tracker import MlflowTracker

    return MlflowTracker()


TRACKERS: dict[str, Callable[[], Tracker]] = {
    "tensorboard": _tensorboard,
    "wandb": _wandb,
    "mlflow": _mlflow,
}
"""Makers of the trackers by name; a library is imported by its maker. A name is also that of its extra."""
