"""Findings of an audit as a table and as sentences."""

from __future__ import annotations

from rich.table import Table

from nas_peft.audit.result import ENOUGH, Audit, Ranking, Tau
from nas_peft.run.finished_search import FinishedSearch
from nas_peft.run.plain_table import add_number, add_text, plain_table
from nas_peft.settings.metric import LABELS, inherited_accuracy
from search_spaces.strips import strips


def audit_table(audit: Audit) -> Table:
    """Table of the taus of each score, for the whole sample and for its half of equal size."""
    seeds = f"{len(audit.seeds)} seed{'s' if len(audit.seeds) > 1 else ''}"
    groups = (("all sizes", audit.all_sizes), ("equal size", audit.equal_size))
    few = any(found.subnets < ENOUGH for _, found in groups)
    table = plain_table(
        f"audit of {audit.run}: {len(audit.sample)} subnets, {seeds}",
        f"Kendall's τ of each score with the retrained validation {LABELS[audit.metric]}: 1 the same order, "
        "0 unrelated; in brackets its 95% interval"
        + (f", which fewer than {ENOUGH} subnets do not have" if few else "")
        + "; seed against seed: the most that a score can be expected to reach",
    )
    add_text(table, "score")
    for name, found in groups:
        add_number(table, f"{name}\n{found.subnets} subnets")
    for name, score in (
        ("inherited loss", "inherited_loss"),
        (f"inherited {inherited_accuracy(audit.metric)}", "inherited_accuracy"),
        ("parameters alone", "params"),
    ):
        table.add_row(name, *(_cell(getattr(found, score), found) for _, found in groups))
    ceilings = ["–" if found.ceiling is None else f"{found.ceiling:.2f}" for _, found in groups]
    table.add_row("seed against seed", *ceilings)
    return table


def audit_summary(audit: Audit, search: FinishedSearch) -> str:
    """The search's choice, its regret, the mean error of the inherited accuracies, and the verdict."""
    digits, points = (3, "") if audit.metric == "log-loss" else (1, " points")
    error = "" if audit.regret_error is None else f" ± {audit.regret_error:.{digits}f}"
    gap = audit.inherited_minus_retrained
    side = "below" if (audit.regret >= 0) is (audit.metric != "log-loss") else "above"
    choice = search.pick()
    drawn = "  ".join(f"{kind} {strip}" for kind, strip in strips(choice.architecture).items())
    return (
        f"the search's choice: candidate {choice.number}, {search.ranking.first} within the budget: "
        f"{drawn}\n"
        f"{_exported(search)}"
        f"regret of the search's choice: {abs(audit.regret):.{digits}f}{error}{points} of validation "
        f"{LABELS[audit.metric]} {side} the best of the sample\n"
        f"inherited {inherited_accuracy(audit.metric)}: {gap:+.1f} points against retraining, on average\n"
        f"{audit.verdict}"
    )


def _exported(search: FinishedSearch) -> str:
    """A line on the exported row where that is another one than the search's choice."""
    exported = search.exported
    if exported is None or exported.candidate == search.pick():
        return ""
    how = "with inherited weights" if search.config.no_retrain else "after training its best candidates"
    return f"the run exported another one {how}: {exported.label} ({exported.name})\n"


def _cell(tau: Tau, found: Ranking) -> str:
    if tau.tau is None or tau.low is None or tau.high is None:
        return "–"
    interval = f" [{tau.low:.2f}, {tau.high:.2f}]" if found.subnets >= ENOUGH else ""
    return f"{tau.tau:.2f}{interval}"
