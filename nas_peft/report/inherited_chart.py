"""Inherited scores against retrained ones: what the search believed, and what training made of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from pydantic import ValidationError

from nas_peft.audit.result import Audit
from nas_peft.report.chart import Chart, chart, drawing, legend_below
from nas_peft.report.data_table import data_table
from nas_peft.report.mark_names import name_marks
from nas_peft.report.palette import light
from nas_peft.report.reported_run import ReportedRun, architecture_of
from nas_peft.run.finished_search import FinishedSearch
from nas_peft.run.json_file import first_fault, read_json
from nas_peft.settings.metric import BALANCED, inherited_accuracy
from search_spaces import InputError


@dataclass(frozen=True)
class ScoredTwice:
    """A subnet with its losses and accuracies, with inherited weights and retrained, on validation images.

    Accuracies are balanced where the metric of the run counts every class alike, and so are inherited losses.
    """

    name: str
    role: str
    inherited_loss: float
    retrained_loss: float
    inherited_accuracy: float
    retrained_accuracy: float


def inherited_chart(run: ReportedRun, search: FinishedSearch) -> Chart | None:
    """Losses with inherited weights against losses after retraining.

    Shows subnets of an audit of the run, too. ``None`` where nothing was retrained. Raises `InputError`
    for an ``audit.json`` of something else.
    """
    rows, audit = _rows(run, search), _audit(run)
    accuracy = inherited_accuracy(search.config.metric)
    audited = [] if audit is None else _audited(audit)
    if not rows and not audited:
        return None
    with drawing() as (figure, axes):
        if audited:
            x, y = [s.inherited_loss for s in audited], [s.retrained_loss for s in audited]
            axes.scatter(x, y, s=18, color=light("candidate"), label="random subnet of the audit")
        for subnet in rows:
            marker = "*" if subnet.role == "chosen" else "o"
            place = (subnet.inherited_loss, subnet.retrained_loss)
            axes.scatter(*place, s=60, color=light(subnet.role), marker=marker, zorder=3)
        both = [v for s in (*rows, *audited) for v in (s.inherited_loss, s.retrained_loss)]
        ends = [0.9 * min(both), 1.1 * max(both)]
        axes.plot(ends, ends, "--", color=light("quiet"), lw=1, label="equal losses")
        axes.margins(x=0.2, y=0.2)
        axes.set_xlabel("loss with inherited weights")
        axes.set_ylabel("validation loss, retrained")
        legend_below(axes)
        name_marks(axes, [(s.inherited_loss, s.retrained_loss, s.name) for s in rows])
        table = data_table(
            "Inherited and retrained scores",
            (
                *("subnet", "inherited loss", "retrained loss"),
                *(f"{how} {accuracy} %" for how in ("inherited", "retrained")),
            ),
            (
                (
                    s.name,
                    f"{s.inherited_loss:.3f}",
                    f"{s.retrained_loss:.3f}",
                    f"{100 * s.inherited_accuracy:.1f}",
                    f"{100 * s.retrained_accuracy:.1f}",
                )
                for s in (*rows, *audited)
            ),
            marked=[place for place, s in enumerate(rows) if s.role == "chosen"],
            note="Scores of candidates eliminated early are estimates.",
        )
        return chart(figure, "Inherited and retrained scores", _words(rows, audit), table)


def _words(rows: Sequence[ScoredTwice], audit: Audit | None) -> str:
    better = sum(s.retrained_loss < s.inherited_loss for s in rows)
    said = (
        f"{len(rows)} of the compared rows were candidates of the search and were retrained; {better} of "
        "them have a lower loss than with inherited weights."
    )
    if audit is None:
        return f"{said} nas-peft audit measures on a random sample how well inherited scores rank subnets."
    return f"{said} An audit retrained {len(audit.sample)} random subnets. {audit.verdict}"


def _rows(run: ReportedRun, search: FinishedSearch) -> list[ScoredTwice]:
    """The rows of subnets that the search has scored, with their own trainings."""
    by_architecture = {c.architecture: c for c in search.candidates if math.isfinite(c.loss)}
    found = []
    for row in run.result.rows:
        architecture = architecture_of(row)
        trained = bool(row.seeds) and row.seeds[0].lr is not None and row.averaging is None
        if not trained or row.method != "subnet" or architecture not in by_architecture:
            continue
        candidate = by_architecture[architecture]
        role = "chosen" if row.selected else row.group
        retrained = f"val_{'balanced_' if search.config.metric in BALANCED else ''}accuracy"
        if any(getattr(seed, retrained) is None for seed in row.seeds):
            continue
        scores = (candidate.loss, row.mean("val_loss"), candidate.accuracy, row.mean(retrained))
        found.append(ScoredTwice(row.name, role, *scores))
    return found


def _audit(run: ReportedRun) -> Audit | None:
    file = run.path / "audit.json"
    content = read_json(file)
    if content is None:
        return None
    try:
        return Audit.model_validate(content)
    except ValidationError as error:
        raise InputError(
            f"'{file}' is not an audit of this version of nas-peft: {first_fault(error)}; remove it, or "
            "start nas-peft audit again"
        ) from error


def _audited(audit: Audit) -> list[ScoredTwice]:
    """The audited subnets with a finite inherited loss."""
    return [
        ScoredTwice(
            f"audited subnet {number}",
            "candidate",
            subnet.inherited_loss,
            fmean(subnet.val_loss),
            subnet.inherited_accuracy,
            fmean(subnet.val_accuracy),
        )
        for number, subnet in enumerate(audit.sample, 1)
        if subnet.inherited_loss is not None
    ]
