"""Findings of an audit as a table and as sentences."""

from __future__ import annotations

from rich.table import Table

from nas_peft.audit.result import Audit, Ranking, Tau


def audit_table(audit: Audit) -> Table:
    """Table of the scores' taus, for the whole sample and for its half of equal size."""
    table = Table(
        title=f"audit of {audit.run}: {len(audit.sample)} subnets, {len(audit.seeds)} "
        f"seed{'s' if len(audit.seeds) > 1 else ''}",
        caption="Kendall's τ with the retrained validation accuracy, 95% interval in brackets",
        title_justify="left",
        caption_justify="left",
    )
    table.add_column("subnets")
    for name in ("inherited loss", "inherited accuracy", "parameters alone", "seed against seed"):
        table.add_column(name, justify="right", no_wrap=True)
    for name, found in (("all sizes", audit.all_sizes), ("equal size", audit.equal_size)):
        table.add_row(f"{name} ({found.subnets})", *_cells(found))
    return table


def audit_summary(audit: Audit) -> str:
    """Regret, mean error of the inherited accuracies, and verdict, in sentences."""
    error = "" if audit.regret_error is None else f" ± {audit.regret_error:.1f}"
    gap = audit.inherited_minus_retrained
    side = "below" if audit.regret >= 0 else "above"
    return (
        f"regret of the search's choice: {audit.regret:.1f}{error} points; it is {side} the best of the "
        "sample in validation accuracy\n"
        f"inherited accuracy: {gap:+.1f} points against retraining, on average\n"
        f"{audit.verdict}"
    )


def _cells(found: Ranking) -> list[str]:
    taus = [_cell(tau) for tau in (found.inherited_loss, found.inherited_accuracy, found.params)]
    return [*taus, "–" if found.ceiling is None else f"{found.ceiling:.2f}"]


def _cell(tau: Tau) -> str:
    if tau.tau is None or tau.low is None or tau.high is None:
        return "–"
    return f"{tau.tau:.2f} [{tau.low:.2f}, {tau.high:.2f}]"
