"""Pictures that the dashboard attaches: the front, the audit, the losses of a retrained candidate."""

from __future__ import annotations

import io
from pathlib import Path

from nas_peft.data.count_words import count_words
from nas_peft.front.plot import drawn_text, plot_front
from nas_peft.run.finished_search import FinishedSearch
from nas_peft.run.results import RowResult
from nas_peft.searching.candidate import Candidate
from supernet import write_atomically


def front_picture(search: FinishedSearch, folder: Path, shown: Candidate) -> Path:
    """Draw the front with the candidate ``shown`` as the picked one; the file in ``folder``."""
    file = folder / "front.svg"
    exported = search.exported
    plot_front(
        file,
        search.candidates,
        search.front(),
        shown,
        exported=exported.candidate if exported else None,
        cost=search.cost,
        cost_name=search.config.front_field,
        title=f"{search.config.dataset}: {len(search.candidates)} candidates, seed {search.config.seed}",
    )
    return file


def losses_picture(row: RowResult, folder: Path) -> Path | None:
    """Draw the training losses of a row by epoch; ``None`` where no training has any."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    curves = [run for run in row.runs if run.losses]
    if not curves:
        return None
    figure = Figure(figsize=(7, 4), layout="constrained")
    FigureCanvasSVG(figure)
    axes = figure.add_subplot()
    for run in curves:
        final = run.on == "train_val"
        epochs_words = count_words(len(run.losses), "epochs")
        name = f"{'final model, ' if final else ''}{epochs_words}, rate {run.lr:g}, seed {run.seed}"
        colour, width = ("#c4532d", 2.2) if final else ("#7a8ba3", 1.4 if run.chosen else 0.7)
        epochs = range(1, len(run.losses) + 1)
        axes.plot(epochs, run.losses, marker="o", ms=3, color=colour, lw=width, label=name)
    axes.set_xlabel("epoch")
    axes.set_ylabel("mean training loss")
    axes.set_title(drawn_text(f"{row.name}: trainings of all recipes"), loc="left", fontsize=10)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.25)
    axes.legend(frameon=False, fontsize=8)
    data = io.BytesIO()
    figure.savefig(data, format="svg", metadata={"Date": None})
    file = folder / "losses.svg"
    write_atomically(file, data.getvalue())
    return file
