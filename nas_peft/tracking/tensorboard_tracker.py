"""A tracker that writes TensorBoard's files into the run folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from torch.utils.tensorboard.writer import SummaryWriter

FOLDER = "tensorboard"
"""Name of the folder in a run folder."""


class TensorBoardTracker:
    """Writes scalars, and tables and places of files as texts.

    Each start of a run tells all that has been done, so the files of earlier starts are removed, and no point
    is there twice.
    """

    _writer: SummaryWriter

    def begin(self, folder: Path, options: Mapping[str, Any]) -> None:
        """Begin a file in the run folder; files of earlier starts are removed."""
        place = folder / FOLDER
        for file in place.glob("events.out.tfevents.*"):
            file.unlink()
        writer: Any = SummaryWriter  # without types
        self._writer = writer(str(place))
        self._text("options", f"```yaml\n{yaml.safe_dump(dict(options), sort_keys=False)}```")

    def numbers(self, group: str, values: Mapping[str, float], step: int) -> None:
        """Write ``GROUP/NAME`` of each value."""
        for name, value in values.items():
            self._writer.add_scalar(f"{group}/{name}", value, step)
        self._writer.flush()

    def table(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write the table as Markdown."""
        columns = list(rows[0])
        lines = [columns, ["---"] * len(columns), *([row[column] for column in columns] for row in rows)]
        self._text(name, "\n".join("|" + "|".join(map(_cell, line)) + "|" for line in lines))

    def artifact(self, file: Path) -> None:
        """Write the file's path and size, since TensorBoard keeps no files."""
        self._text(f"files/{file.name}", f"`{file}`, {file.stat().st_size:,} bytes")

    def end(self, failed: bool) -> None:
        """Close the file, which has no field for a failure."""
        self._writer.close()

    def _text(self, name: str, text: str) -> None:
        self._writer.add_text(name, text)


def _cell(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value).replace("|", "\\|")
