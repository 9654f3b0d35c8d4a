"""The study's picture: in-domain against shifted accuracy of each method, a panel for each kind of shift."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.harness.standard_error import mean_and_error
from benchmarks.robustness_study.tables import rows_of
from nas_peft.front.plot import require_format
from supernet import write_atomically

PANELS = {"corruptions": "corruptions", "domain": "another domain", "rare": "rare classes"}
"""Kinds of shift of a `StudyTask`, with the words of the picture."""

_OURS = "searched robustly"
_AROUND = ((5, 4), (5, -11), (-12, 4), (-12, -11))  # places of the numbers beside points that lie near


def scatter(file: Path, lines: Sequence[Mapping[str, Any]], shifts: Mapping[str, str]) -> None:
    """Draw the mean of each method over the tasks and seeds of each kind of shift.

    ``shifts`` are the kinds by task. Methods that lack some of the pairs of a panel are left out of it: their
    means would be of other data. The file is written atomically. Raises `InputError` for another ending than
    those of plots.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    require_format(file)
    panels = {
        kind: of_kind
        for kind in PANELS
        if (of_kind := rows_of([line for line in lines if shifts[line["task"]] == kind]))
    }
    names = list(dict.fromkeys(name for of_kind in panels.values() for name in of_kind))
    figure = Figure(figsize=(3.6 * len(panels) + 3, 4.4), layout="constrained")
    FigureCanvasAgg(figure)
    handles = {}
    for axes, (kind, rows) in zip(
        figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True
    ):
        whole = max(len(of) for of in rows.values())
        for name, of in rows.items():
            if len(of) < whole:
                continue
            x, y = (
                100 * mean_and_error([scores[key] for scores in of.values()])[0]
                for key in ("in_domain", "shifted")
            )
            number, ours = names.index(name) + 1, name == _OURS
            (handles[number],) = axes.plot(
                x,
                y,
                "*" if ours else "o",
                ms=13 if ours else 6,
                color="#c4532d" if name.startswith(_OURS) else f"C{number % 10}",
                label=f"{number}  {name}",
            )
            axes.annotate(
                str(number), (x, y), xytext=_AROUND[number % 4], textcoords="offset points", fontsize=8
            )
        axes.set(xlabel="accuracy % in domain", ylabel=f"accuracy % on {PANELS[kind]}")
        axes.grid(alpha=0.25)
    ordered = [handles[number] for number in sorted(handles)]
    figure.legend(handles=ordered, loc="outside right center", frameon=False, fontsize=8)
    data = io.BytesIO()
    figure.savefig(data, format=file.suffix.lower().removeprefix("."), dpi=110)
    write_atomically(file, data.getvalue())
