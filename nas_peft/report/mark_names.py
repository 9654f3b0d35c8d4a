"""Names beside the marks of a plot, placed so that they cover neither marks nor each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from nas_peft.report.palette import light

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.transforms import Bbox

_PLACES = (
    (0, 8, "center", "bottom"),
    (0, -8, "center", "top"),
    (8, 0, "left", "center"),
    (-8, 0, "right", "center"),
    (6, 6, "left", "bottom"),
    (-6, -6, "right", "top"),
)
"""Offsets from a mark in points with the alignment of the text, the preferred one first."""
_MARK = 5.0


def name_marks(axes: Axes, marks: Sequence[tuple[float, float, str]]) -> None:
    """Write the name of each mark ``(x, y, name)`` at the first place beside it that is free.

    Call it last: it reads the final positions. A mark without a free place stays without a name, which the
    table below the plot has.
    """
    figure = axes.figure
    figure.draw_without_rendering()  # type: ignore[union-attr]
    places = [axes.transData.transform((x, y)) for x, y, _ in marks]
    taken = [_around(x, y) for x, y in places]
    whole = axes.get_window_extent()
    for x, y, name in marks:
        style: dict[str, Any] = {"xycoords": "data", "textcoords": "offset points", "fontsize": 8}
        for right, up, horizontal, vertical in _PLACES:
            text = axes.annotate(
                name, (x, y), (right, up), ha=horizontal, va=vertical, color=light("quiet"), **style
            )
            box = text.get_window_extent()
            if _inside(box, whole) and not any(_overlap(box, other) for other in taken):
                taken.append((box.x0, box.y0, box.x1, box.y1))
                break
            text.remove()


def _around(x: float, y: float) -> tuple[float, float, float, float]:
    return x - _MARK, y - _MARK, x + _MARK, y + _MARK


def _overlap(box: Bbox, other: tuple[float, float, float, float]) -> bool:
    left, low, right, high = other
    return bool(box.x0 < right and left < box.x1 and box.y0 < high and low < box.y1)


def _inside(box: Bbox, whole: Bbox) -> bool:
    return bool(whole.x0 <= box.x0 and box.x1 <= whole.x1 and whole.y0 <= box.y0 and box.y1 <= whole.y1)
