"""A tracker for Weights & Biases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import wandb


class WandbTracker:
    """Logs to the project of ``WANDB_PROJECT``, by default ``nas-peft``; other settings are wandb's own.

    Each start of a run is a run of its own there, in the group of the run folder's name. With
    ``WANDB_MODE=offline`` everything stays in the folder ``wandb`` of the run folder.
    """

    def begin(self, folder: Path, options: Mapping[str, Any]) -> None:
        """Begin a run."""
        import os

        name = folder.resolve().name
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", "nas-peft"),
            dir=str(folder),
            name=name,
            group=name,
            config=dict(options),
            settings=wandb.Settings(console="off", silent=True),
        )
        self._known: set[str] = set()

    def numbers(self, group: str, values: Mapping[str, float], step: int) -> None:
        """Log the values against ``GROUP/step``: groups have steps of their own, and wandb's must grow."""
        step_name = f"{group}/step"
        if step_name not in self._known:
            self._run.define_metric(step_name, hidden=True)
        for name in sorted({f"{group}/{name}" for name in values} - self._known):
            self._run.define_metric(name, step_metric=step_name)
            self._known.add(name)
        self._known.add(step_name)
        self._run.log({f"{group}/step": step, **{f"{group}/{name}": v for name, v in values.items()}})

    def table(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Log the table."""
        columns: list[str | int] = list(rows[0])
        self._run.log({name: wandb.Table(columns, [list(row.values()) for row in rows])})

    def artifact(self, file: Path) -> None:
        """Log the file as an artifact of type ``model``."""
        artifact = wandb.Artifact(f"{self._run.id}-{file.stem}", type="model")
        artifact.add_file(str(file))
        self._run.log_artifact(artifact)

    def end(self, failed: bool) -> None:
        """End the run as finished or failed, once all is sent."""
        self._run.finish(exit_code=int(failed))
