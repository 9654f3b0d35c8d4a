"""Predictions as they are printed: a table for people, JSON lines, and CSV, each batch as it comes."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Protocol, TextIO, TypeAlias, get_args

from rich.table import Table
from rich.text import Text

from nas_peft.data.image_files import shown_name
from nas_peft.prediction.classification import Model, Prediction
from nas_peft.run.text_console import TextConsole
from search_spaces import InputError

OutputFormat: TypeAlias = Literal["table", "json", "csv"]
FORMATS = get_args(OutputFormat)
OF_SUFFIX: dict[str, OutputFormat] = {".csv": "csv", ".json": "json", ".jsonl": "json"}
"""The format of a file of that ending, unless another is asked for."""
WIDEST_NAME = 28
"""Columns of class and model in the table; longer names are folded."""


class Output(Protocol):
    """A place that predictions go to, in the order in which they come."""

    def write(self, predictions: Sequence[Prediction]) -> None:
        """Write the predictions of a batch."""
        ...


def chosen_format(asked: OutputFormat | None, json_lines: bool, file: Path | None) -> OutputFormat:
    """The format to write: the one asked for, else that of the file's ending, else the table.

    Raises `InputError` for ``--json`` beside another format.
    """
    if json_lines and asked not in (None, "json"):
        raise InputError(f"--json and --format {asked} ask for two formats; give one of them")
    if json_lines:
        return "json"
    return asked or (OF_SUFFIX.get(file.suffix.lower(), "table") if file else "table")


class JsonLines:
    """One JSON object for each image and model: image, model, and the probabilities of its classes."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, predictions: Sequence[Prediction]) -> None:
        """See `Output.write`."""
        for found in predictions:
            record = {"image": str(found.image), "model": found.model, "classes": dict(found.classes)}
            self._stream.write(json.dumps(record) + "\n")
        self._stream.flush()


class Csv:
    """One line for each image and model, with the columns ``class_1``, ``probability_1`` and so on."""

    def __init__(self, stream: TextIO, top: int) -> None:
        self._stream = stream
        self._writer = csv.writer(stream, lineterminator="\n")
        ranks = [column for i in range(1, top + 1) for column in (f"class_{i}", f"probability_{i}")]
        self._columns = 2 + len(ranks)
        self._writer.writerow(["image", "model", *ranks])

    def write(self, predictions: Sequence[Prediction]) -> None:
        """See `Output.write`."""
        for found in predictions:
            values = [value for name, p in found.classes for value in (name, f"{p:.6f}")]
            line = [str(found.image), found.model, *values]
            self._writer.writerow(line + [""] * (self._columns - len(line)))
        self._stream.flush()


class PeopleTable:
    """A table whose columns have their widths from the start, so that each batch can be printed at once.

    The column of models is there if there are several; that of other classes if more than one is asked for.
    """

    def __init__(self, stream: TextIO, models: Sequence[Model], images: Sequence[Path], top: int) -> None:
        self._console = TextConsole(file=stream)
        self._several, self._top, self._begun = len(models) > 1, top, False
        names = [name for model in models for name in model.subnet.classes]
        self._class = min(WIDEST_NAME, max(5, *map(len, names)))
        self._model = min(WIDEST_NAME, max(5, *(len(model.name) for model in models)))
        taken = self._class + 5 + 4 + (self._model + 2 if self._several else 0)
        left = max(20, self._console.width - taken)
        longest = max((len(shown_name(str(path))) for path in images), default=5)
        self._image = max(5, min(longest, left if top == 1 else left * 3 // 5))
        self._others = max(8, left - self._image - 2)

    def write(self, predictions: Sequence[Prediction]) -> None:
        """See `Output.write`."""
        if not predictions:
            return
        table = Table(
            box=None, padding=(0, 2, 0, 0), show_header=not self._begun, header_style="bold", pad_edge=False
        )
        self._begun = True
        table.add_column("image", width=self._image, overflow="fold")
        if self._several:
            table.add_column("model", width=self._model, overflow="fold")
        table.add_column("class", width=self._class, overflow="fold")
        table.add_column("%", width=5, justify="right")
        if self._top > 1:
            table.add_column("next", width=self._others, overflow="fold")
        for found in predictions:
            (name, chance), *others = found.classes
            cells = [shown_name(str(found.image))]
            cells += [found.model] if self._several else []
            cells += [name, f"{100 * chance:.1f}"]
            if self._top > 1:
                cells.append(", ".join(f"{other} {100 * p:.1f}" for other, p in others))
            table.add_row(*(Text(cell) for cell in cells))
        self._console.print(table)


def output_to(
    stream: TextIO, shown_as: OutputFormat, models: Sequence[Model], images: Sequence[Path], top: int
) -> Output:
    """The writer of a format to an open stream."""
    if shown_as == "json":
        return JsonLines(stream)
    if shown_as == "csv":
        return Csv(stream, min(top, max(len(model.subnet.classes) for model in models)))
    return PeopleTable(stream, models, images, top)
