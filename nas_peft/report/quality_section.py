"""Quality by class: measures, bars, confusions and calibration of the exported subnet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from nas_peft.data.image_files import shown_name
from nas_peft.evaluation.measures import Measure, Measures
from nas_peft.evaluation.report import NAMES
from nas_peft.report.chart import Chart, chart, drawing, legend_below
from nas_peft.report.data_table import DataTable, data_table
from nas_peft.report.judged_images import JudgedImages, confusions
from nas_peft.report.number_texts import NONE, percent
from nas_peft.report.palette import light
from nas_peft.training.share_interval import share_interval

MOST_IN_MATRIX = 25
"""Classes up to which the confusion matrix has a cell with its number for each pair."""
MOST_CONFUSIONS = 12
BINS = 10
"""Bins of confidence in the reliability diagram, of equal width."""


@dataclass(frozen=True)
class ClassBar:
    """One class: shares as texts, and the recall with its interval as shares from 0 to 1 for the bar."""

    name: str
    images: str
    recall: str
    precision: str
    f1: str
    share: float
    low: float
    high: float


@dataclass(frozen=True)
class MatrixCell:
    """A number of images, its share of the true class, and whether it is on the diagonal."""

    images: int
    share: float
    right: bool


@dataclass(frozen=True)
class QualitySection:
    """All measures of the judged images; many classes have a ``plot``, few a ``matrix``."""

    source: str
    remark: str
    overall: DataTable
    classes: tuple[ClassBar, ...]
    names: tuple[str, ...]
    matrix: tuple[tuple[MatrixCell, ...], ...] | None
    plot: Chart | None
    confusions: DataTable | None
    reliability: Chart


def quality_section(judged: JudgedImages) -> QualitySection:
    """Measures with intervals, class by class; the classes that are recognised worst stand first."""
    measures = judged.measures()
    names = tuple(shown_name(name) for name in judged.classes)
    few = len(names) <= MOST_IN_MATRIX
    bars = [
        ClassBar(
            shown_name(c.name),
            f"{c.images:,}",
            _with_interval(c.recall),
            _with_interval(c.precision),
            _with_interval(c.f1),
            *(0.0 if np.isnan(v) else v for v in (c.recall.value, *c.recall.interval)),
        )
        for c in measures.classes
    ]
    return QualitySection(
        judged.source,
        judged.remark,
        _overall(measures),
        tuple(sorted(bars, key=lambda bar: bar.share)),
        names,
        _matrix(measures) if few else None,
        None if few else _matrix_chart(measures),
        _confusions(judged),
        _reliability(judged),
    )


def _overall(measures: Measures) -> DataTable:
    rows = []
    for name, found in measures.overall.items():
        scale, digits = (1, 3) if name.startswith("log_loss") else (100, 1)
        ends = [f"{scale * end:.{digits}f}" for end in found.known_interval or ()]
        title = NAMES[name][:1].upper() + NAMES[name][1:]
        rows.append((title, f"{scale * found.value:.{digits}f}", " to ".join(ends) or NONE))
    return data_table(
        "Measures over all images",
        ("measure", "value", "95% interval"),
        rows,
        note="Intervals are over images: Wilson's of shares and F1, of the others by bootstrap.",
    )


def _with_interval(found: Measure) -> str:
    if np.isnan(found.value):
        return NONE
    ends = " to ".join(percent(end, 0) for end in found.known_interval or ())
    return percent(found.value) + (f" ({ends})" if ends else "")


def _matrix(measures: Measures) -> tuple[tuple[MatrixCell, ...], ...]:
    sums = np.maximum(measures.confusion.sum(axis=1), 1)
    return tuple(
        tuple(MatrixCell(int(n), float(n / sums[i]), i == j) for j, n in enumerate(row))
        for i, row in enumerate(measures.confusion)
    )


def _matrix_chart(measures: Measures) -> Chart:
    """The confusion matrix as dots, for many classes: their darkness is the share of the true class."""
    counts = measures.confusion
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    true, predicted = counts.nonzero()
    right = int(np.trace(counts))
    with drawing(5.0) as (figure, axes):
        size = max(1.5, 230.0 / len(counts)) ** 2
        opacity = 0.15 + 0.85 * share[true, predicted]
        for on_diagonal, role, label in ((True, "chosen", "right"), (False, "bad", "wrong")):
            these = (true == predicted) == on_diagonal
            style: dict[str, Any] = {"marker": "s", "s": size, "color": light(role), "lw": 0}
            axes.scatter(predicted[these], true[these], alpha=opacity[these], **style)
            axes.scatter([], [], color=light(role), marker="s", s=30, label=label)
        axes.invert_yaxis()
        axes.set_aspect("equal")
        axes.set_xlabel("predicted class, in the order of the names")
        axes.set_ylabel("true class")
        legend_below(axes)
        table = data_table(
            "Images on and off the diagonal",
            ("images", "number"),
            (("right", f"{right:,}"), ("wrong", f"{int(counts.sum()) - right:,}")),
        )
        said = (
            f"{right:,} of {int(counts.sum()):,} images are on the diagonal, over {len(counts)} classes. "
            "The most frequent confusions have a table of their own."
        )
        return chart(figure, "Confusion matrix", said, table)


def _confusions(judged: JudgedImages) -> DataTable | None:
    found = confusions(judged, MOST_CONFUSIONS)
    if not found:
        return None
    return data_table(
        "Most frequent confusions",
        ("true class", "predicted class", "images", "% of the true class"),
        (
            (shown_name(true), shown_name(predicted), f"{images:,}", percent(images / total, 0))
            for true, predicted, images, total in found
        ),
        texts=2,
    )


def _reliability(judged: JudgedImages) -> Chart:
    """Accuracy against confidence: calibrated, and without calibration where both are known."""
    probabilities = judged.probabilities
    confidence, hits = probabilities.max(axis=1), probabilities.argmax(axis=1) == judged.labels
    place = np.minimum((confidence * BINS).astype(int), BINS - 1)
    found = []
    for number in range(BINS):
        inside = place == number
        if inside.any():
            right, images = int(hits[inside].sum()), int(inside.sum())
            interval = share_interval(right, images)
            found.append((number, images, float(confidence[inside].mean()), right / images, interval))
    with drawing(4.2) as (figure, axes):
        axes.plot([0, 100], [0, 100], "--", lw=1, color=light("quiet"), label="perfectly calibrated")
        x, y = [100 * f[2] for f in found], [100 * f[3] for f in found]
        below = [100 * max(0.0, f[3] - f[4][0]) for f in found]
        above = [100 * max(0.0, f[4][1] - f[3]) for f in found]
        axes.errorbar(x, y, yerr=[below, above], fmt="none", color=light("chosen"), lw=1, capsize=2)
        sizes = [20 + 160 * f[1] / len(hits) for f in found]
        axes.scatter(x, y, s=sizes, color=light("chosen"), label="images of a bin", zorder=3)
        axes.set_xlabel("confidence, %")
        axes.set_ylabel("accuracy, %")
        axes.set_xlim(0, 102)
        axes.set_ylim(-2, 104)
        legend_below(axes)
        table = data_table(
            "Accuracy by confidence",
            ("confidence", "images", "mean confidence %", "accuracy %", "95% interval"),
            (
                (
                    f"{100 * number // BINS} to {100 * (number + 1) // BINS}%",
                    f"{images:,}",
                    percent(mean),
                    percent(accuracy),
                    f"{percent(low)} to {percent(high)}",
                )
                for number, images, mean, accuracy, (low, high) in found
            ),
        )
        gap = float(confidence.mean() - hits.mean())
        over = "overconfident" if gap > 0 else "underconfident"
        temperature = (
            "" if judged.temperature is None else f", after temperature scaling by {judged.temperature:.3f}"
        )
        said = (
            f"Mean confidence is {percent(float(confidence.mean()))}% and accuracy "
            f"{percent(float(hits.mean()))}%{temperature}: {over} by {percent(abs(gap))} points on average."
        )
        return chart(figure, "Reliability diagram", said, table)
