"""A plot of the report: a picture, the words that stand for it, and its numbers."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from nas_peft.report.data_table import DataTable
from nas_peft.report.palette import light
from nas_peft.report.svg import inline_svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH, HEIGHT = 4.6, 3.3
"""Inches of a plot: with texts of 10 points they can still be read on a phone."""

MANY_DECADES = 50.0
"""Ratio of the ends of a logarithmic axis from which it has labels at powers of ten alone."""


@dataclass(frozen=True)
class Chart:
    """A plot with what stands for it where it cannot be seen.

    Args:
        title: what the plot shows.
        description: the finding in words, read in place of the picture.
        svg: the picture.
        data: the numbers behind it.
    """

    title: str
    description: str
    svg: Markup
    data: DataTable


@contextmanager
def drawing(height: float = HEIGHT) -> Iterator[tuple[Figure, Axes]]:
    """An empty figure in the style of the report; draw it and call `chart` within the block.

    Texts are never read as formulas. Letters that matplotlib's own font lacks raise no warning: the page's
    font has them.
    """
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    ink, quiet, line = light("ink"), light("quiet"), light("line")
    style: Any = {
        "svg.fonttype": "none",
        "svg.hashsalt": "nas-peft",
        "text.parse_math": False,
        "text.color": ink,
        "axes.labelcolor": ink,
        "axes.edgecolor": quiet,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": line,
        "xtick.color": quiet,
        "ytick.color": quiet,
        "font.size": 10,
        "legend.frameon": False,
        "legend.fontsize": 9,
        "lines.markersize": 4,
    }
    with matplotlib.rc_context(style), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        FigureCanvasSVG(figure)
        yield figure, figure.add_subplot()


def chart(figure: Figure, title: str, description: str, data: DataTable) -> Chart:
    """The finished plot."""
    name = re.sub(r"\W+", "-", title.lower()).strip("-")
    return Chart(title, description, inline_svg(figure, name, title, description), data)


def legend_below(axes: Axes, columns: int = 2) -> None:
    """Put the legend below the axes, where it covers no data."""
    axes.figure.legend(loc="outside lower center", ncols=columns)


def whole_numbers(axes: Axes) -> None:
    """Label the horizontal axis by whole numbers alone."""
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def logarithmic(axes: Axes) -> None:
    """Make the horizontal axis logarithmic, with labels such as ``20k``; call it after drawing."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.set_xscale("log")
    low, high = axes.get_xlim()
    wide = high > MANY_DECADES * max(low, 1e-9)
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0,) if wide else (1.0, 2.0, 5.0), numticks=8))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short_number(value)))
    axes.xaxis.set_minor_formatter(NullFormatter())


def short_number(value: float) -> str:
    """A number in three figures at most: ``340``, ``20k``, ``1.6M``, ``2.1G``."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"
