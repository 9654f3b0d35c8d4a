"""Picture of the front of a search."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from pathlib import Path

from nas_peft.data.image_files import shown_name
from nas_peft.searching.candidate import Candidate
from search_spaces import InputError
from supernet import write_atomically

FORMATS = (".svg", ".png", ".pdf")
AXES = {
    "params": "trainable parameters (head not counted)",
    "flops": "FLOPs of a forward pass",
    "latency": "latency of a batch, ms",
    "shifted_loss": "loss on shifted images, with inherited weights",
}


def require_format(file: Path) -> None:
    """Raise `InputError` unless the file's ending is one of `FORMATS`."""
    if file.suffix.lower() not in FORMATS:
        raise InputError(f"'{file}' is not a picture: its name must end in one of {', '.join(FORMATS)}")


def drawn_text(text: str) -> str:
    """Text with a user's names as matplotlib has to get it to draw it as it is.

    What is between dollar signs would be a formula, and a byte of a file name that is not UTF-8 an error.
    """
    return "\n".join(map(shown_name, text.split("\n"))).replace("$", r"\$")


def plot_front(
    file: Path,
    candidates: Sequence[Candidate],
    front: Sequence[Candidate],
    pick: Candidate,
    *,
    exported: Candidate | None = None,
    cost: Callable[[Candidate], float],
    cost_name: str,
    title: str,
) -> None:
    """Draw all candidates, the front as a staircase, the picked and the exported candidate.

    The file is written atomically.

    The error bars are one standard error of the mean loss over images. Candidates on the front are scored on
    the same images, so their differences are more certain than the bars suggest.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    require_format(file)
    figure = Figure(figsize=(8, 5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    groups = (
        ("scored on all images", [c for c in candidates if not c.dropped], "#7a8ba3", 18.0),
        ("eliminated early (estimate)", [c for c in candidates if c.dropped], "#d3d9e2", 12.0),
    )
    for label, group, colour, size in groups:
        finite = [c for c in group if c.loss != float("inf")]
        if finite:
            x, y = [cost(c) for c in finite], [c.loss for c in finite]
            axes.scatter(x, y, s=size, color=colour, label=label, zorder=1)
    x, y = [cost(c) for c in front], [c.loss for c in front]
    last = max(cost(c) for c in candidates if math.isfinite(cost(c)))
    axes.step([*x, last], [*y, y[-1]], where="post", color="#c4532d", lw=1.5, zorder=2)
    errors = [c.loss_standard_error for c in front]
    axes.errorbar(x, y, yerr=errors, fmt="o", ms=4, lw=1, color="#c4532d", label="front", zorder=3)
    label = f"picked: candidate {pick.number}"
    axes.scatter([cost(pick)], [pick.loss], marker="*", s=190, color="#1b1b1b", label=label, zorder=4)
    if exported is not None and exported.loss != float("inf"):
        label = f"exported: candidate {exported.number}"
        place = [cost(exported)], [exported.loss]
        axes.scatter(*place, s=150, facecolors="none", edgecolors="#1b1b1b", label=label, zorder=5)
    if cost_name not in ("latency", "shifted_loss"):  # latency stays linear: most of it is the backbone's
        axes.set_xscale("log")
    axes.set_xlabel(AXES[cost_name])
    axes.set_ylabel("loss with inherited weights")
    shown = [c.loss for c in candidates if c.loss != float("inf") and not c.dropped]
    low, high = min(shown), max(shown)
    axes.set_ylim(low - 0.1 * (high - low) - max(errors), high + 0.1 * (high - low) + max(errors))
    axes.set_title(drawn_text(title), loc="left", fontsize=10)
    axes.grid(alpha=0.25)
    figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=9)  # over no point or bar
    data = io.BytesIO()
    kind = file.suffix.lower().removeprefix(".")
    # without a date, two drawings of one run have equal bytes
    metadata = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {}}[kind]
    figure.savefig(data, format=kind, dpi=150, metadata=metadata)
    write_atomically(file, data.getvalue())
