"""A tracker for MLflow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import mlflow
from mlflow.tracking import MlflowClient

_LONGEST = 500
"""Characters of a parameter's value that every MLflow server takes."""


class MlflowTracker:
    """Logs where ``MLFLOW_TRACKING_URI`` says, to the experiment of ``MLFLOW_EXPERIMENT_NAME``.

    The experiment is by default ``nas-peft``. Each start of a run is a run of its own there.
    """

    def begin(self, folder: Path, options: Mapping[str, Any]) -> None:
        """Begin a run in the experiment, which is created if it is not there."""
        import os

        self._client = MlflowClient()
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", "nas-peft")
        found = self._client.get_experiment_by_name(name)
        number = found.experiment_id if found is not None else self._client.create_experiment(name)
        run = self._client.create_run(number, run_name=folder.resolve().name)
        self._run = run.info.run_id
        self._client.log_batch(
            self._run,
            params=[mlflow.entities.Param(key, str(value)[:_LONGEST]) for key, value in options.items()],
        )

    def numbers(self, group: str, values: Mapping[str, float], step: int) -> None:
        """Log ``GROUP/NAME`` of each value."""
        for name, value in values.items():
            self._client.log_metric(self._run, f"{group}/{name}", value, step=step)

    def table(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Log the table as a JSON file."""
        self._client.log_dict(self._run, {"rows": [dict(row) for row in rows]}, f"{name}.json")

    def artifact(self, file: Path) -> None:
        """Log the file."""
        self._client.log_artifact(self._run, str(file))

    def end(self, failed: bool) -> None:
        """Mark the run as finished or failed."""
        self._client.set_terminated(self._run, status="FAILED" if failed else "FINISHED")
