"""The report of an evaluation: tables, the CSV of predictions, and the picture of the confusion matrix."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from nas_peft.evaluation.measures import LEVEL, Measure, Measures
from nas_peft.front.plot import drawn_text, require_format
from nas_peft.run.plain_table import add_number, add_text, plain_table
from nas_peft.training.temperature import Labels
from supernet import write_atomically

Probabilities: TypeAlias = NDArray[np.float64]
"""Probabilities of each class, ``(N, C)``."""

NAMES = {
    "accuracy": "accuracy %",
    "balanced_accuracy": "balanced accuracy %",
    "macro_f1": "macro F1 %",
    "top5_accuracy": "top-5 accuracy %",
    "log_loss": "log loss",
    "calibration_error": "calibration error %",
    "log_loss_calibrated": "log loss, calibrated",
    "calibration_error_calibrated": "calibration error %, calibrated",
}
"""Measures as the table names them; without "calibrated" they are those of the logits as they are."""
MOST_NUMBERED = 25
"""Classes up to which the picture of the confusion matrix has numbers."""


def tables(measures: Measures, source: str, temperature: float | None) -> Iterator[Table]:
    """The overall measures with their intervals, then those of each class."""
    calibration = (
        "no temperature is stored" if temperature is None else f"calibrated by temperature {temperature:.3f}"
    )
    table = plain_table(
        source,
        f"{LEVEL:.0%} intervals over images: Wilson's of shares and F1, else by bootstrap; {calibration}",
    )
    add_text(table, "measure")
    add_number(table, "value")
    add_number(table, "interval")
    for name, found in measures.overall.items():
        scale, digits = (1, 3) if name.startswith("log_loss") else (100, 1)
        ends = [f"{scale * end:.{digits}f}" for end in found.known_interval or ()]
        table.add_row(NAMES[name], f"{scale * found.value:.{digits}f}", " to ".join(ends) or "–")
    yield table
    by_class = plain_table("")
    by_class.add_column("class", overflow="fold")
    for name in ("images", "precision %", "recall %", "F1 %"):
        add_number(by_class, name)
    for row in measures.classes:
        by_class.add_row(row.name, f"{row.images:,}", *map(_percent, (row.precision, row.recall, row.f1)))
    yield by_class


def _percent(found: Measure) -> str:
    """A share in per cent with its interval, such as ``87.5 (80–94)``."""
    if np.isnan(found.value):
        return "–"
    ends = "–".join(f"{100 * end:.0f}" for end in found.known_interval or ())
    return f"{100 * found.value:.1f}" + (f" ({ends})" if ends else "")


def write_predictions(
    file: Path, names: Sequence[str], probabilities: Probabilities, labels: Labels, classes: Sequence[str]
) -> None:
    """Write a CSV file with the path, class, predicted class and ``probabilities (N, C)`` of each image."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["path", "class", "predicted", "correct", "probability", "probability_of_class"])
    for name, row, label in zip(names, probabilities, labels, strict=True):
        best = int(row.argmax())
        values = (int(best == label), f"{row[best]:.6f}", f"{row[label]:.6f}")
        writer.writerow([name, classes[label], classes[best], *values])
    # file names that are not UTF-8 keep their bytes, as in the files that predict writes
    write_atomically(file, text.getvalue().encode("utf-8", "surrogateescape"))


def plot_confusion(file: Path, measures: Measures, title: str) -> None:
    """Draw the confusion matrix, coloured by the share of each true class; write the file atomically."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    require_format(file)
    names, counts = [drawn_text(c.name) for c in measures.classes], measures.confusion
    side = min(20.0, max(4.0, 1.5 + 0.45 * len(names)))
    figure = Figure(figsize=(side, side), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(len(names)), names, rotation=90)
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="predicted class", ylabel="true class", title=drawn_text(title))
    if len(names) <= MOST_NUMBERED:
        for i, j in zip(*counts.nonzero(), strict=True):
            colour = "white" if share[i, j] > 0.5 else "black"
            axes.text(j, i, str(counts[i, j]), ha="center", va="center", color=colour, fontsize=8)
    buffer = io.BytesIO()
    figure.savefig(buffer, format=file.suffix[1:].lower(), dpi=150)
    write_atomically(file, buffer.getvalue())
