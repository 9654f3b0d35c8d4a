"""The end of a run: the decision in about twenty lines, of which none needs another to be understood."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from nas_peft.data.remarks import data_remarks
from nas_peft.protocol.cost_ledger import planned_seconds, seconds_taken
from nas_peft.protocol.decision_words import (
    FULL,
    baselines_as_good,
    because,
    last_step,
    validation_data,
    validation_images,
)
from nas_peft.protocol.metric_columns import metric_columns
from nas_peft.protocol.metric_words import signed, size, unit
from nas_peft.protocol.results_table import calibrated_losses, inherits, mark, percent, shown_rows
from nas_peft.run.results import DecisionResult, RivalResult, SearchResult, Verdict
from nas_peft.run.stage_records import LatencyRecord
from nas_peft.settings.durations import in_words
from nas_peft.settings.metric import Metric
from search_spaces import Architecture
from search_spaces.kinds import KINDS
from search_spaces.strips import largest_sizes, strips

_ASIDE = 11
"""Characters of the words on the left."""
_LEAST_NAME = 16
"""Characters of the names of rows at least, however wide the numbers are."""
_UNBROKEN = "\N{NO-BREAK SPACE}"
"""Space at which no line is broken, between a kind and its strip; printed as a space."""


def decision_summary(result: SearchResult, width: int) -> str:
    """What was chosen and why, how sure that is, what it costs, what the alternatives give.

    Lines are wrapped at ``width`` characters. The file and the next commands are printed below by the command
    line, which knows its commands.
    """
    lines = [
        line
        for name, text in _said(result)
        for line in textwrap.wrap(
            f"{name:<{_ASIDE}}{text}",
            max(width, 2 * _ASIDE),
            subsequent_indent=" " * _ASIDE,
            break_on_hyphens=False,
            break_long_words=False,
        )
    ]
    return "\n".join([*lines, "", *_table(result, width)]).replace(_UNBROKEN, " ")


def _said(result: SearchResult) -> Iterator[tuple[str, str]]:
    selected, decision = result.selected, result.decision
    of_what = f" ({selected.name})" if selected.group == "searched" else ""
    drawn = "  ".join(f"{label} {strip}".replace(" ", _UNBROKEN) for label, strip in _strips(result))
    how = " (a block for each layer, higher for a larger module)"
    yield "chosen", f"{selected.label}{of_what}" + (f": {drawn}{how}" if drawn else "")
    if decision is None:
        yield (
            "because",
            "its loss with inherited weights is the lowest; nothing was retrained, so nothing is known of "
            "how sure that is"
            if inherits(result)
            else "validation data; the run is of a version that did not record how sure that is",
        )
    else:
        yield "because", _why(result, decision)
        yield "how sure", _how_sure(result, decision)
        if (last := last_step(result)) is not None:
            yield "last step", last
        if all(row.name != FULL for row in result.rows):
            longer = "" if result.plan is None else " or a longer --time"
            yield "not tried", f"full fine-tuning: --baselines linear,full{longer} trains it, too"
        if "search" in result.stages and (worth := _worth(result, decision)):
            yield "worth it?", worth
    yield "costs", _costs(result)
    for row in result.rows:
        if row.error is not None:
            yield "failed", f"{row.label} ({row.name}): {row.error}"
    for remark in data_remarks(result.dataset):
        yield "data", remark.removeprefix("data: ").partition(" (such as ")[0]


def _strips(result: SearchResult) -> Iterator[tuple[str, str]]:
    """The kinds of the exported row with their strips, at the heights of the table of modules by layer."""
    chosen = Architecture.from_dict(result.selected.architecture)
    largest = largest_sizes(Architecture.from_dict(row.architecture) for row in shown_rows(result))
    return (
        (KINDS[kind].label, strips(chosen, {kind: largest[kind]})[KINDS[kind].label])
        for kind, _ in chosen.sizes
    )


def _why(result: SearchResult, decision: DecisionResult) -> str:
    only = [row.label for row in result.rows if row.name in baselines_as_good(result, decision)]
    compared = f"; {_and(only)} {'is' if len(only) == 1 else 'are'} for comparison only" if only else ""
    among = "" if decision.by == "alone" else f" (of {decision.among} rows that may be exported{compared})"
    return f"{because(decision)}{among}"


def _how_sure(result: SearchResult, decision: DecisionResult) -> str:
    """The exported row against full fine-tuning and the best alternatives: ties, and what is not a tie."""
    rivals = {rival.row: rival for rival in decision.rivals}
    labels = {row.name: row.label for row in result.rows}
    of_interest = dict.fromkeys([*decision.roles.values(), *baselines_as_good(result, decision)])
    asked = [rivals[name] for name in of_interest if name in rivals]
    said = []
    words: dict[Verdict, str] = {"worse": "worse than", "tie": "a tie with", "better": "better than"}
    for verdict, word in words.items():
        found = [rival for rival in asked if rival.verdict == verdict]
        if found:
            better = _and([f"{rival.better:.2f}" for rival in found])
            names = _and([_named(rival, labels, decision.metric) for rival in found])
            said.append(f"{word} {names} (better with probability {better})")
    alone = "" if said else "no other row competed"
    return (
        f"{'; '.join(said)}{alone}; the choice gives away "
        f"{size(decision.metric, decision.expected_regret)}{unit(decision.metric)} on average (expected "
        f"regret); on {decision.images:,} {validation_images(decision)}"
        + ("; the loss on shifted images, which decided, has no part in this" if decision.robust else "")
    )


def _named(rival: RivalResult, labels: dict[str, str], metric: Metric) -> str:
    amount = f"{size(metric, abs(rival.difference))}{unit(metric)}"
    points = f" by {amount}" if rival.verdict != "tie" else ""
    return f"{labels[rival.row]}{points}"


def _and(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _worth(result: SearchResult, decision: DecisionResult) -> str:
    """Whether the search found more than a single method has, by validation and on the test images."""
    rivals = {rival.row: rival for rival in decision.rivals}
    labels = {row.name: row.label for row in result.rows}
    searched = rivals.get(decision.roles.get("searched", ""))
    single = rivals.get(decision.roles.get("single", ""))
    if result.selected.group == "baseline":
        said = "no: full fine-tuning is exported, as allowed, and its file holds the whole backbone"
    elif searched is not None:  # a single method is exported
        said = {
            "better": f"no: {result.decided.label} is better than the searched subnets",
            "tie": f"no: {result.decided.label} does as well as the searched subnets, a tie",
            "worse": "by the rule no, though the best searched subnet has the higher accuracy",
        }[searched.verdict]
    elif single is not None:
        said = {
            "better": f"yes: better than {labels[single.row]}, the best single method",
            "tie": f"not shown: a tie with {labels[single.row]}, the best single method",
            "worse": f"no: {labels[single.row]}, the best single method, has the higher accuracy",
        }[single.verdict]
    else:
        return ""
    pair = result.paired
    if pair is None:
        return f"{said} on {validation_data(decision)}"
    spread = "" if pair.standard_error is None else f" ± {size(pair.metric, pair.standard_error)}"
    return (
        f"{said} on {validation_data(decision)}; on the test images searched − single is "
        f"{signed(pair.metric, pair.difference)}{spread}{unit(pair.metric)} (McNemar p = {pair.p_value:.2g})"
    )


def _costs(result: SearchResult) -> str:
    row = result.selected
    said = [
        f"{row.module_params:,} parameters and {row.head_params:,} of the head",
        f"a file of {_size(result.subnet['bytes'])}",
        f"{row.flops / 1e6:,.0f} MFLOPs an image",
    ]
    if "latency" in result.stages:
        measured = LatencyRecord(**result.stages["latency"].model_dump())
        milliseconds = measured.latency_table().latency(Architecture.from_dict(row.architecture))
        device = measured.environment["device"]
        said.append(f"{milliseconds:,.1f} ms for a batch of {measured.batch_size} on {device}")
    planned = "" if result.plan is None else f" (planned {in_words(planned_seconds(result))})"
    return f"{', '.join(said)}; the run took {in_words(seconds_taken(result))}{planned}"


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{max(1, round(count / 1e3))} kB"


def _table(result: SearchResult, width: int) -> Iterator[str]:
    """The exported row and those that it is compared with, best validation accuracy first.

    Where a line has more than ``width`` characters, headers are broken, and then the names of the rows.
    """
    decision = result.decision
    asked = {"linear", FULL}
    if decision is not None:
        asked |= {
            *decision.roles.values(),
            *baselines_as_good(result, decision),
            result.decided.name,
        }
    rows = [row for row in result.rows if row.seeds and (row.selected or row.name in asked)]
    rows.sort(key=lambda row: (not row.selected, -row.mean("val_accuracy"), row.mean("val_loss")))
    known = calibrated_losses(result)
    losses = {row.name: known.get(row.name, row.mean("val_loss")) for row in rows}
    measured = metric_columns(result)
    headers = [
        *("validation %", "calibrated loss" if known else "loss", "test %"),
        *(column.title.replace("\n", " ") for column in measured),
        "parameters",
    ]
    cells = [
        (
            percent(row, "val_accuracy"),
            f"{losses[row.name]:.3f}",
            percent(row, "test_accuracy") if row.tested else "-",
            *(column.cell(row) or "-" for column in measured),
            f"{row.module_params:,}",
        )
        for row in rows
    ]
    names = [f"{mark(result, row) or ' '} {row.label}" for row in rows]
    left = max(map(len, names))
    if left + sum(len(header) + 2 for header in headers) > width:
        headers = ["\n".join(header.rsplit(" ", 1)) for header in headers]
    widths = [
        max(map(len, [*header.split("\n"), *column]))
        for header, column in zip(headers, zip(*cells, strict=True), strict=True)
    ]
    left = min(left, max(_LEAST_NAME, width - sum(widths) - 2 * len(widths)))
    height = max(header.count("\n") for header in headers) + 1
    stacked = [[*[""] * (height - 1 - header.count("\n")), *header.split("\n")] for header in headers]
    for line in zip(*stacked, strict=True):
        yield _line("", left, line, widths)
    for name, of_row in zip(names, cells, strict=True):
        first, *rest = textwrap.wrap(name, left, subsequent_indent="  ", drop_whitespace=True)
        yield _line(first, left, of_row, widths)
        yield from rest
    where = "" if decision is None else f"; ≈ a tie with it, ▲ better than it, on {validation_data(decision)}"
    yield f"► exported{where}"


def _line(name: str, left: int, cells: Sequence[str], widths: Sequence[int]) -> str:
    return f"{name:<{left}}" + "".join(f"  {cell:>{w}}" for cell, w in zip(cells, widths, strict=True))
