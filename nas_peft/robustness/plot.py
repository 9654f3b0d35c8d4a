"""Picture of in-domain against shifted accuracy."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path

from nas_peft.front.plot import drawn_text, require_format
from nas_peft.robustness.result import ModelRobustness, RobustnessResult
from supernet import write_atomically

_AROUND = ((5, 4), (5, -11), (-12, 4), (-12, -11))  # places of the numbers beside points that lie near


def plot_robustness(file: Path, result: RobustnessResult, title: str) -> None:
    """Draw a point for each model, with a panel for corruptions and one for other domains.

    Points are numbered, with the names beside the panels. The error bars are one standard error over images;
    on the dotted line the shift costs nothing. The file is written atomically.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    require_format(file)
    models = result.models
    panels: list[tuple[str, list[float], list[float]]] = []
    if models[0].corruptions:
        accuracies = [model.mean_corruption_accuracy or 0.0 for model in models]
        panels.append(
            ("mean corruption accuracy %", accuracies, [model.corruption_error or 0.0 for model in models])
        )
    if models[0].domains:
        accuracies = [model.average_domain_accuracy or 0.0 for model in models]
        panels.append(("mean accuracy % on other domains", accuracies, [_domain_error(m) for m in models]))
    figure = Figure(figsize=(5 * len(panels) + 3, 4.6), layout="constrained")
    FigureCanvasAgg(figure)
    all_axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for axes, (label, shifted, errors) in zip(all_axes, panels, strict=True):
        for number, model in enumerate(models, 1):
            exported = model.exported
            x, y = 100 * model.clean.accuracy, 100 * shifted[number - 1]
            axes.errorbar(
                x,
                y,
                xerr=100 * model.clean.standard_error,
                yerr=100 * errors[number - 1],
                fmt="*" if exported else "o",
                ms=13 if exported else 6,
                lw=0.8,
                color="#c4532d" if exported else f"C{number % 10}",
                label=drawn_text(f"{number}  {model.shown_label}"),
            )
            axes.annotate(
                str(number), (x, y), xytext=_AROUND[number % 4], textcoords="offset points", fontsize=8
            )
        low, high = axes.get_xlim()
        bottom, top = axes.get_ylim()
        axes.plot([0, 100], [0, 100], ls=":", lw=1, color="#888888")
        axes.set_xlim(low, high)
        axes.set_ylim(bottom, top)
        axes.set(xlabel="accuracy % on the clean test set", ylabel=label)
        axes.grid(alpha=0.25)
    handles, labels = all_axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center", frameon=False, fontsize=8)
    figure.suptitle(drawn_text(title), fontsize=10)
    data = io.BytesIO()
    kind = file.suffix.lower().removeprefix(".")
    metadata = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {}}[kind]
    figure.savefig(data, format=kind, dpi=150, metadata=metadata)
    write_atomically(file, data.getvalue())


def _domain_error(model: ModelRobustness) -> float:
    """Standard error, over images, of the mean over domains."""
    errors: Sequence[float] = [scores.standard_error for scores in model.domains.values()]
    return math.hypot(*errors) / len(errors)
