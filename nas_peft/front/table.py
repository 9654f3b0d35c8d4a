"""Table of the front of a search."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from nas_peft.run.finished_search import FinishedSearch
from nas_peft.run.stage_records import LatencyRecord
from nas_peft.searching.candidate import Candidate


def front_table(search: FinishedSearch, points: Sequence[Candidate], pick: Candidate) -> Table:
    """Table with a row for each of ``points``, cheapest first, and the picked candidate marked.

    A picked candidate that is not on the front has a row too.
    """
    latency = search.folder.read_stage("latency", LatencyRecord)
    measured = ""
    if latency:
        device = latency.environment["device"]
        measured = f"ms: latency of a batch of {latency.batch_size} on {device}, {latency.threads} threads; "
    on_front = pick.number in {c.number for c in points}
    table = Table(
        title=f"front of loss against {search.config.front_field.replace('_', ' ')}: {len(points)} of "
        f"{len(search.candidates)} candidates",
        caption=f"scored with inherited weights on {max(c.images for c in search.candidates)} images; "
        f"{measured}"
        f"► picked{'' if on_front else ', not on the front'}",
        title_justify="left",
        caption_justify="left",
    )
    table.add_column("")
    table.add_column("candidate", justify="right", no_wrap=True)
    table.add_column("params", justify="right", no_wrap=True)
    table.add_column("MFLOPs", justify="right", no_wrap=True)
    if latency:
        table.add_column("ms", justify="right", no_wrap=True)
    table.add_column("loss ± error", justify="right", no_wrap=True)
    table.add_column("accuracy %", justify="right", no_wrap=True)
    if search.config.robust:
        table.add_column("shifted loss", justify="right", no_wrap=True)
    table.add_column("modules by layer", overflow="fold")
    shown = sorted([*points, *([] if on_front else [pick])], key=lambda c: (search.cost(c), c.number))
    for c in shown:
        table.add_row(
            "►" if c.number == pick.number else "",
            str(c.number),
            f"{c.params:,}",
            f"{c.flops / 1e6:,.1f}",
            *([] if c.latency is None else [f"{c.latency:,.2f}"]),
            f"{c.loss:.3f} ± {c.loss_standard_error:.3f}",
            f"{100 * c.accuracy:.1f}",
            *([] if c.shifted_loss is None else [f"{c.shifted_loss:.3f}"]),
            c.architecture.describe().replace(", ", "\n"),
            style="bold" if c.number == pick.number else None,
        )
    return table
