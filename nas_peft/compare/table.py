"""Tables of a comparison over data sets."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from nas_peft.compare.contests import CHOSEN, SEARCHED, TIE_RULE, Column, MethodComparison, MethodRow

BORDER = 3
"""Characters that a column takes in addition to its content."""


def accuracy_tables(comparison: MethodComparison, width: int) -> list[Table]:
    """Tables of test accuracies in per cent, methods by data sets.

    Each group has tables of its own, as many as it takes to stay within ``width`` characters.
    """
    tables = []
    methods = max(len(row.label) for row in comparison.rows) + BORDER + 1
    for group in dict.fromkeys(column.group for column in comparison.columns):
        parts: list[list[Column]] = [[]]
        taken = methods
        for column in (column for column in comparison.columns if column.group == group):
            cells = [len(_text(row, column.dataset)) for row in comparison.rows]
            needed = max(*cells, *map(len, _header(column).splitlines())) + BORDER
            if parts[-1] and taken + needed > width:
                parts.append([])
                taken = methods
            parts[-1].append(column)
            taken += needed
        tables += [_accuracy_table(comparison, part, group) for part in parts]
    return tables


def means_table(comparison: MethodComparison) -> Table:
    """Table of each method's means over all data sets, over each group, and over the groups."""
    columns = comparison.columns
    groups = [group for group in dict.fromkeys(column.group for column in columns) if group is not None]
    table = Table(
        title=f"mean test % over {len(columns)} data set{'s' if len(columns) != 1 else ''}",
        caption="– not tested on all of them" + ("; group mean: mean of the groups' means" if groups else ""),
        title_justify="left",
        caption_justify="left",
    )
    table.add_column("method", overflow="fold")
    for name in ("mean", *groups, *(["group mean"] if groups else [])):
        table.add_column(name, justify="right")
    for row in comparison.rows:
        means = [row.mean, *(row.group_means[g] for g in groups), *([row.group_mean] if groups else [])]
        table.add_row(row.label, *("–" if mean is None else f"{100 * mean:.1f}" for mean in means))
    return table


def contests_table(comparison: MethodComparison) -> Table:
    """Table of wins, ties and losses of `SEARCHED` and of `CHOSEN` against each method."""
    references = [r for r in (SEARCHED, CHOSEN) if any(r in row.against for row in comparison.rows)]
    table = Table(
        title="data sets won/tied/lost by the method above against the method on the left",
        caption=TIE_RULE,
        title_justify="left",
        caption_justify="left",
    )
    table.add_column("against", overflow="fold")
    for reference in references:
        table.add_column(reference, justify="right")
    for row in comparison.rows:
        if row.against:
            found = [row.against.get(reference) for reference in references]
            table.add_row(row.label, *("" if f is None else f"{f.wins}/{f.ties}/{f.losses}" for f in found))
    return table


def _accuracy_table(comparison: MethodComparison, columns: Sequence[Column], group: str | None) -> Table:
    table = Table(
        title="test %" + (f", {group}" if group else ""),
        caption="mean ± standard deviation over seeds; * best; – not tested",
        title_justify="left",
        caption_justify="left",
    )
    table.add_column("method", overflow="fold")
    for column in columns:
        table.add_column(_header(column), justify="right", no_wrap=True)
    for row in comparison.rows:
        table.add_row(row.label, *(_cell(row, column.dataset) for column in columns))
    return table


def _header(column: Column) -> str:
    return f"{column.dataset}\n{column.seeds} seed{'s' if column.seeds != 1 else ''}"


def _cell(row: MethodRow, dataset: str) -> str:
    text = _text(row, dataset)
    return f"[bold]{text}[/bold]" if text.endswith("*") else text


def _text(row: MethodRow, dataset: str) -> str:
    cell = row.cells.get(dataset)
    if cell is None:
        return "– "
    spread = "" if cell.std is None else f" ± {100 * cell.std:.1f}"
    return f"{100 * cell.mean:.1f}{spread}{'*' if cell.best else ' '}"
