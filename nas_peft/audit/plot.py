"""Picture of an audit."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from nas_peft.audit.result import Audit, AuditedSubnet
from nas_peft.front.plot import require_format
from nas_peft.settings.metric import LABELS
from supernet import write_atomically


def plot_audit(file: Path, audit: Audit) -> None:
    """Draw the retrained score against the inherited loss, coloured by parameters; write the file.

    The file is written atomically. Bars are the range over seeds. If the inherited loss ranks well, the
    points fall from left to right (those of a log loss rise), among the squares (equal size) too. Subnets
    without a finite inherited loss are left out.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure

    require_format(file)
    figure = Figure(figsize=(8, 5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()

    factor = -1 if audit.metric == "log-loss" else 100

    def scores(rows: list[AuditedSubnet]) -> tuple[list[float], np.ndarray]:
        shown = [[factor * score for score in row.scores] for row in rows]
        means = [float(np.mean(of_row)) for of_row in shown]
        spread = [(mean - min(of), max(of) - mean) for of, mean in zip(shown, means, strict=True)]
        return means, np.array(spread).T

    def found(rows: Iterable[AuditedSubnet]) -> tuple[list[AuditedSubnet], list[float]]:
        """The subnets with a finite inherited loss, and these losses."""
        pairs = [(row, row.inherited_loss) for row in rows if row.inherited_loss is not None]
        return [row for row, _ in pairs], [loss for _, loss in pairs]

    colours = [np.log10(row.params) for row in audit.sample]
    norm = Normalize(min(colours), max(colours))
    for group, marker in (("all sizes", "o"), ("equal size", "s")):
        rows, x = found(row for row in audit.sample if row.group == group)
        if not rows:
            continue
        y, spread = scores(rows)
        axes.errorbar(x, y, yerr=spread, fmt="none", ecolor="#c9ced6", lw=1, zorder=1)
        axes.scatter(
            x,
            y,
            c=[np.log10(row.params) for row in rows],
            norm=norm,
            cmap="viridis",
            marker=marker,
            s=36,
            label=group,
            zorder=2,
        )
    chosen, x = found([audit.choice])
    if chosen:
        y, spread = scores(chosen)
        axes.errorbar(x, y, yerr=spread, fmt="none", ecolor="#c4532d", lw=1, zorder=3)
        axes.scatter(x, y, marker="*", s=190, color="#c4532d", label="the search's choice", zorder=4)
    bar = figure.colorbar(ScalarMappable(norm, "viridis"), ax=axes)
    bar.set_label("log10 of the number of parameters")
    axes.set_xlabel("loss with inherited weights")
    percent = "" if audit.metric == "log-loss" else ", %"
    axes.set_ylabel(f"retrained validation {LABELS[audit.metric]}{percent} ({len(audit.seeds)} seeds)")
    axes.grid(alpha=0.25)
    if axes.get_legend_handles_labels()[0]:  # below the axes, over no point or bar
        figure.legend(loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    data = io.BytesIO()
    kind = file.suffix.lower().removeprefix(".")
    metadata = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {}}[kind]
    figure.savefig(data, format=kind, dpi=150, metadata=metadata)
    write_atomically(file, data.getvalue())
