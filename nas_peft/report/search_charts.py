"""Plots of a search: its front and its history."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

from nas_peft.front.plot import AXES
from nas_peft.report.chart import Chart, chart, drawing, legend_below, logarithmic, whole_numbers
from nas_peft.report.data_table import data_table
from nas_peft.report.palette import light
from nas_peft.report.reported_run import ReportedRun, architecture_of
from nas_peft.run.finished_search import FinishedSearch
from nas_peft.searching.candidate import Candidate
from nas_peft.settings.metric import inherited_accuracy

REFERENCE = "reference"
"""Origin of the candidates that are alike in all layers, with which a search begins."""


def front_chart(run: ReportedRun, search: FinishedSearch) -> Chart:
    """Loss with inherited weights against cost: candidates, the front, references and the exported subnet."""
    front, exported = search.front(), exported_candidate(run, search)
    finite = [c for c in search.candidates if math.isfinite(c.loss)]
    groups = (
        ("candidate", [c for c in finite if not c.dropped], "candidate", "o", "candidate"),
        ("eliminated early (estimate)", [c for c in finite if c.dropped], "none", "o", "candidate"),
        ("alike in every layer", _references(finite), "single", "D", "single"),
    )
    with drawing() as (figure, axes):
        for label, group, face, marker, edge in groups:
            if group:
                fill = "none" if face == "none" else light(face)
                x, y = [search.cost(c) for c in group], [c.loss for c in group]
                axes.scatter(
                    x, y, s=16, marker=marker, facecolor=fill, edgecolor=light(edge), lw=0.8, label=label
                )
        if front:
            x, y = [search.cost(c) for c in front], [c.loss for c in front]
            errors = [c.loss_standard_error for c in front]
            end = max(map(search.cost, search.candidates))
            axes.step([*x, end], [*y, y[-1]], where="post", color=light("searched"), lw=1.4, label="front")
            axes.errorbar(x, y, yerr=errors, fmt="o", ms=4, lw=1, color=light("searched"))
        if exported is not None:
            style: dict[str, Any] = {"marker": "*", "s": 170, "color": light("chosen"), "zorder": 5}
            axes.scatter([search.cost(exported)], [exported.loss], label="exported", **style)
        linear = ("latency", "shifted_loss")  # most of a latency is the backbone's
        if search.config.front_field not in linear:
            logarithmic(axes)
        shown = [c.loss for c in (*groups[0][1], *front)] or [0.0, 1.0]
        room = 0.12 * (max(shown) - min(shown)) + max((c.loss_standard_error for c in front), default=0.1)
        axes.set_ylim(min(shown) - room, max(shown) + room)
        axes.set_xlabel(AXES[search.config.front_field])
        axes.set_ylabel("loss with inherited weights")
        legend_below(axes)
        points = sorted(
            [*front, *([exported] if exported and exported not in front else [])], key=search.cost
        )
        table = data_table(
            "Front of the search, and the exported subnet",
            (
                *("modules", "candidate", "parameters", "MFLOPs", "loss", "standard error"),
                f"{inherited_accuracy(search.config.metric)} %",
            ),
            (
                (
                    c.architecture.describe(),
                    str(c.number),
                    f"{c.params:,}",
                    f"{c.flops / 1e6:,.1f}",
                    f"{c.loss:.3f}",
                    f"{c.loss_standard_error:.3f}",
                    f"{100 * c.accuracy:.1f}",
                )
                for c in points
            ),
            marked=[place for place, c in enumerate(points) if c is exported],
        )
        return chart(figure, "Front of the search", _front_words(search, front, exported), table)


def _front_words(search: FinishedSearch, front: Sequence[Candidate], exported: Candidate | None) -> str:
    said = f"{len(search.candidates)} candidates, {len(front)} of them on the front of loss against cost"
    if front:
        first, last = front[0], front[-1]
        said += f", from {first.params:,} parameters at loss {first.loss:.3f}"
        said += f" to {last.params:,} at {last.loss:.3f}"
    if exported is None:
        return f"{said}. The exported row was not a candidate of the search."
    return f"{said}. The exported subnet is candidate {exported.number}, with loss {exported.loss:.3f}."


def history_chart(run: ReportedRun, search: FinishedSearch) -> Chart:
    """The loss of each candidate by generation, and the best so far within the budget."""
    generations = sorted({c.generation for c in search.candidates})
    best: list[float] = []
    rows = []
    for generation in generations:
        of_it = [c for c in search.candidates if c.generation == generation]
        within = [c.loss for c in of_it if _within(run, c)]
        so_far = min([*within, *best[-1:]], default=math.inf)
        best.append(so_far)
        origins = Counter(c.proposal.origin for c in of_it)
        rows.append(
            (
                str(generation + 1),
                ", ".join(f"{count} {origin}" for origin, count in origins.most_common()),
                str(len(of_it)),
                str(sum(c.dropped for c in of_it)),
                _loss(min(within, default=math.inf)),
                _loss(so_far),
            )
        )
    with drawing() as (figure, axes):
        for label, dropped in (("candidate", False), ("eliminated early (estimate)", True)):
            group = [c for c in search.candidates if c.dropped is dropped and math.isfinite(c.loss)]
            fill = "none" if dropped else light("candidate")
            x, y = [_beside(c) for c in group], [c.loss for c in group]
            axes.scatter(x, y, s=14, facecolor=fill, edgecolor=light("candidate"), lw=0.8, label=label)
        known = [(g + 1, loss) for g, loss in zip(generations, best, strict=True) if math.isfinite(loss)]
        if known:
            label = "best within the budget so far"
            axes.plot(*zip(*known, strict=True), "-o", ms=5, color=light("searched"), lw=1.6, label=label)
        axes.set_xlabel("generation")
        axes.set_ylabel("loss with inherited weights")
        axes.set_xlim(0.5, len(generations) + 0.5)
        whole_numbers(axes)
        finite = [c.loss for c in search.candidates if math.isfinite(c.loss)]
        if finite:
            axes.set_ylim(min(finite) * 0.9, sorted(finite)[int(0.95 * (len(finite) - 1))] * 1.1)
        legend_below(axes)
        table = data_table(
            "Candidates by generation",
            ("generation", "origin", "candidates", "eliminated early", "best loss", "best so far"),
            rows,
            texts=2,
            note="Best losses are of candidates within the budget that were scored on all images.",
        )
        said = (
            f"The best loss within the budget is {_loss(best[0])} after the first generation and "
            f"{_loss(best[-1])} after the last."
        )
        return chart(figure, "History of the search", said, table)


def exported_candidate(run: ReportedRun, search: FinishedSearch) -> Candidate | None:
    """The candidate with the architecture of the exported row, if the search scored it."""
    architecture = architecture_of(run.selected)
    found = [c for c in search.candidates if c.architecture == architecture and math.isfinite(c.loss)]
    return min(found, key=lambda c: c.dropped, default=None)


def _references(candidates: Sequence[Candidate]) -> list[Candidate]:
    return [c for c in candidates if c.proposal.origin == REFERENCE]


def _within(run: ReportedRun, candidate: Candidate) -> bool:
    return not candidate.dropped and candidate.params <= run.budget_limit and math.isfinite(candidate.loss)


def _beside(candidate: Candidate) -> float:
    """The generation, moved by up to 0.2 so that marks of equal losses stand side by side."""
    return candidate.generation + 1 + 0.2 * ((candidate.number * 7) % 11 - 5) / 5


def _loss(loss: float) -> str:
    return f"{loss:.3f}" if math.isfinite(loss) else "–"
