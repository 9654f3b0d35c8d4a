"""Tables of the front of a search, one line for each candidate."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from nas_peft.protocol.modules_table import Drawn, modules_tables
from nas_peft.run.finished_search import FinishedSearch
from nas_peft.run.plain_table import add_number, add_text, plain_table
from nas_peft.run.stage_records import LatencyRecord
from nas_peft.searching.candidate import Candidate
from nas_peft.settings.metric import BALANCED, inherited_accuracy
from search_spaces.strips import largest_sizes

PICKED = "►"
EXPORTED = "★"


def front_tables(
    search: FinishedSearch, points: Sequence[Candidate], pick: Candidate, width: int
) -> list[Table]:
    """The costs and scores of ``points``, cheapest first, then their modules within ``width`` characters.

    The picked and the exported candidate are marked, and listed if they are not on the front, too.
    """
    shown = listed(search, points, pick)
    return [
        _scores(search, points, shown, pick),
        *modules_tables(
            "modules by layer",
            ["no.", "params"],
            [
                Drawn(mark(search, c, pick), (str(c.number), f"{c.params:,}"), c.architecture, c == pick)
                for c in shown
            ],
            width,
            largest_sizes(c.architecture for c in search.candidates),
        ),
    ]


def listed(search: FinishedSearch, points: Sequence[Candidate], pick: Candidate) -> list[Candidate]:
    """The candidates to list: ``points``, the picked and the exported candidate, cheapest first."""
    exported = search.exported
    more = [pick, *([exported.candidate] if exported and exported.candidate else [])]
    found = {c.number: c for c in [*points, *more]}
    return sorted(found.values(), key=lambda c: (search.cost(c), c.number))


def mark(search: FinishedSearch, candidate: Candidate, pick: Candidate) -> str:
    """The signs before a candidate: picked, exported, or both."""
    exported = search.exported
    is_exported = exported is not None and exported.candidate == candidate
    return (PICKED if candidate.number == pick.number else "") + (EXPORTED if is_exported else "")


def _scores(
    search: FinishedSearch, points: Sequence[Candidate], shown: Sequence[Candidate], pick: Candidate
) -> Table:
    latency = search.folder.read_stage("latency", LatencyRecord)
    measured = ""
    if latency:
        device = latency.environment["device"]
        measured = f"ms: latency of a batch of {latency.batch_size} on {device}, {latency.threads} threads; "
    accuracy = inherited_accuracy(search.config.metric)
    alike = ", every class counting alike" if search.config.metric in BALANCED else ""
    table = plain_table(
        f"front of loss against {search.config.front_field.replace('_', ' ')}: {len(points)} of "
        f"{len(search.candidates)} candidates",
        f"loss ± its standard error and {accuracy}: with inherited weights, on "
        f"{max(c.images for c in search.candidates)} images{alike}; {measured}"
        f"{_signs(search, points, pick)}",
    )
    add_text(table)
    costs = ["params", "MFLOPs", *(["ms"] if latency else [])]
    shifted = ["shifted loss"] if search.config.robust else []
    for header in ("no.", *costs, "loss ± error", f"{accuracy} %", *shifted):
        add_number(table, header)
    add_text(table, "found by")
    for c in shown:
        table.add_row(
            mark(search, c, pick),
            str(c.number),
            f"{c.params:,}",
            f"{c.flops / 1e6:,.1f}",
            *([] if c.latency is None else [f"{c.latency:,.2f}"]),
            f"{c.loss:.3f} ± {c.loss_standard_error:.3f}",
            f"{100 * c.accuracy:.1f}",
            *([f"{c.shifted_loss:.3f}" if c.shifted_loss is not None else "–"] if shifted else []),
            c.proposal.origin,
            style="bold" if c.number == pick.number else None,
        )
    return table


def _signs(search: FinishedSearch, points: Sequence[Candidate], pick: Candidate) -> str:
    """What the marks mean."""
    on_front = {c.number for c in points}
    is_choice = pick == search.pick()
    what = f"the search's choice, {search.ranking.first} within the budget" if is_choice else "picked"
    said = f"{PICKED} {what}{'' if pick.number in on_front else ', not on the front'}"
    exported = search.exported
    if exported is None:
        return said
    if exported.candidate is None:
        return f"{said}; the run exported {exported.label} ({exported.name}), which is no candidate"
    outside = "" if exported.candidate.number in on_front else ", not on the front"
    same = "" if exported.name.startswith("candidate-") else f" as {exported.label}"
    how = "with inherited weights" if search.config.no_retrain else "chosen by validation after training"
    return f"{said}; {EXPORTED} exported by the run{same}, {how}{outside}"
