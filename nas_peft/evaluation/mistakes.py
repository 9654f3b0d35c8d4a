"""The most confident mistakes of an evaluation, as a contact sheet."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nas_peft.data.image_files import shown_name
from nas_peft.data.listing import Item
from nas_peft.evaluation.report import Probabilities
from nas_peft.front.plot import drawn_text, require_format
from nas_peft.training.temperature import Labels
from supernet import write_atomically

MOST = 25
"""Mistakes on a contact sheet."""
COLUMNS = 5
LONGEST_NAME = 28
"""Letters of a file name under its picture; the start of longer names is left out."""


@dataclass(frozen=True)
class Mistake:
    """An image whose predicted class is wrong, with the probabilities of that class and of the true one."""

    item: Item
    true: str
    predicted: str
    probability: float
    probability_of_true: float


def confident_mistakes(
    items: Sequence[Item],
    probabilities: Probabilities,
    labels: Labels,
    classes: Sequence[str],
    most: int = MOST,
) -> list[Mistake]:
    """At most ``most`` mistakes, that with the highest probability of its wrong class first."""
    predicted = probabilities.argmax(axis=1)
    highest = probabilities.max(axis=1)
    wrong = np.flatnonzero(predicted != labels)
    chosen = wrong[np.argsort(-highest[wrong], kind="stable")][:most]
    return [
        Mistake(
            items[i],
            classes[labels[i]],
            classes[predicted[i]],
            float(highest[i]),
            float(probabilities[i, labels[i]]),
        )
        for i in chosen
    ]


def plot_mistakes(file: Path, mistakes: Sequence[Mistake], title: str) -> None:
    """Draw each mistake as the network sees the image, with its classes and name; write the file atomically.

    Without mistakes the sheet says so.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    require_format(file)
    rows = max(1, -(-len(mistakes) // COLUMNS))
    figure = Figure(figsize=(2.3 * COLUMNS, 0.6 + 2.9 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(drawn_text(title))
    grid = figure.subplots(rows, COLUMNS, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    if not mistakes:
        figure.text(0.5, 0.4, "no mistakes", ha="center")
    for axes, mistake in zip(grid.flat, mistakes, strict=False):
        axes.imshow(mistake.item.load().permute(1, 2, 0).numpy())
        axes.set_title(
            drawn_text(
                f"predicted {mistake.predicted} ({mistake.probability:.1%})\n"
                f"true {mistake.true} ({mistake.probability_of_true:.1%})"
            ),
            fontsize=8,
        )
        name = shown_name(Path(mistake.item.name).name)
        short = name if len(name) <= LONGEST_NAME else f"…{name[1 - LONGEST_NAME :]}"
        axes.text(0.5, -0.03, drawn_text(short), transform=axes.transAxes, ha="center", va="top", fontsize=6)
    buffer = io.BytesIO()
    figure.savefig(buffer, format=file.suffix[1:].lower(), dpi=150)
    write_atomically(file, buffer.getvalue())
