"""Tables of a comparison over data sets."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from nas_peft.compare.contests import CHOSEN, SEARCHED, Cell, Column, MethodComparison, MethodRow
from nas_peft.compare.measure import Measure
from nas_peft.compare.runs import setting_text
from nas_peft.compare.side_by_side import SideBySide, SideCell, SideRow
from nas_peft.run.plain_table import GAP, add_number, plain_table
from nas_peft.settings.durations import in_words

FEWER = "(n): of the n seeds in which the method was tested; in others halving eliminated it, or it failed"
"""The words on a cell with fewer repetitions than others."""
BORDER = 3
"""Characters that a column takes in addition to its content."""


def score_tables(comparison: MethodComparison, width: int) -> list[Table]:
    """Tables of test scores by the metric of the runs, methods by data sets.

    Each group has tables of its own, as many as it takes to stay within ``width`` characters.
    """
    tables = []
    methods = max(len(row.label) for row in comparison.rows) + BORDER + 1
    for group in dict.fromkeys(column.group for column in comparison.columns):
        parts: list[list[Column]] = [[]]
        taken = methods
        for column in (column for column in comparison.columns if column.group == group):
            cells = [len(_text(row, column.dataset, comparison.measure)) for row in comparison.rows]
            needed = max(*cells, *map(len, _header(column).splitlines())) + BORDER
            if parts[-1] and taken + needed > width:
                parts.append([])
                taken = methods
            parts[-1].append(column)
            taken += needed
        tables += [_score_table(comparison, part, group) for part in parts]
    return tables


def means_table(comparison: MethodComparison) -> Table:
    """Table of each method's means over all data sets, over each group, and over the groups."""
    columns = comparison.columns
    groups = [group for group in dict.fromkeys(column.group for column in columns) if group is not None]
    table = plain_table(
        f"mean {comparison.measure.title('test')} over {len(columns)} data "
        f"set{'s' if len(columns) != 1 else ''}",
        "– not tested with all seeds on all of them"
        + ("; group mean: mean of the groups' means" if groups else ""),
    )
    table.add_column("method", overflow="fold")
    for name in ("mean", *groups, *(["group mean"] if groups else [])):
        table.add_column(name, justify="right")
    for row in comparison.rows:
        means = [row.mean, *(row.group_means[g] for g in groups), *([row.group_mean] if groups else [])]
        table.add_row(row.label, *("–" if mean is None else comparison.measure.text(mean) for mean in means))
    return table


def contests_table(comparison: MethodComparison) -> Table:
    """Table of wins, ties and losses of `SEARCHED` and of `CHOSEN` against each method."""
    references = [r for r in (SEARCHED, CHOSEN) if any(r in row.against for row in comparison.rows)]
    table = plain_table(
        "data sets won/tied/lost by the method above against the method on the left",
        comparison.measure.tie_rule,
    )
    table.add_column("against", overflow="fold")
    for reference in references:
        table.add_column(reference, justify="right")
    for row in comparison.rows:
        if row.against:
            found = [row.against.get(reference) for reference in references]
            table.add_row(row.label, *("" if f is None else f"{f.wins}/{f.ties}/{f.losses}" for f in found))
    return table


def side_tables(found: SideBySide, width: int) -> list[Table]:
    """Tables of validation and test scores, methods by settings, within ``width`` characters.

    Two settings have their difference, too; more are spread over as many tables as it takes.
    """
    methods = max(len("method"), *(len(row.label) for row in found.rows))
    parts: list[list[str]] = []
    taken = width
    for setting in found.settings:
        cells = [_side_cell(row, setting.name, found.measure) for row in found.rows]
        title = f"{setting.name} {found.measure.title('test')}"
        needed = sum(GAP + max(len(title), *(len(of[i]) for of in cells)) for i in (0, 1))
        if taken + needed > width:
            parts.append([])
            taken = methods
        parts[-1].append(setting.name)
        taken += needed
    two = len(found.settings) == 2
    return [
        _side_table(
            found, part, with_difference=two and number == len(parts) - 1, last=number == len(parts) - 1
        )
        for number, part in enumerate(parts)
    ]


def settings_lines(found: SideBySide) -> list[str]:
    """A line for each setting: its runs, their time, and the options that differ."""
    return [
        f"{setting.name}: {', '.join(f'{n} {setting_text(setting.options, n)}' for n in setting.options)} "
        f"({', '.join(setting.runs)}; {in_words(setting.seconds)}"
        f"{' each' if len(setting.runs) > 1 else ''})"
        for setting in found.settings
    ]


def _side_table(found: SideBySide, settings: Sequence[str], *, with_difference: bool, last: bool) -> Table:
    measure = found.measure
    first, second = found.settings[0].name, found.settings[-1].name
    explained = f"; {second} − {first}: {measure.amount} over common seeds; ≈ {measure.tie_rule}"
    partial = any(cell.partial for row in found.rows for cell in row.cells.values())
    fewer = f"; {FEWER}" if partial else ""
    table = plain_table(
        f"{found.dataset} by setting",
        "mean ± standard deviation over seeds; choose by val: the test set was read for each setting"
        f"{explained if with_difference else ''}{fewer}"
        if last
        else "",
    )
    table.add_column("method")
    for name in settings:
        add_number(table, f"{name}\n{measure.title('val')}")
        add_number(table, f"{name}\n{measure.title('test')}")
    if with_difference:
        add_number(table, f"{second} − {first}\ntest")
    for row in found.rows:
        cells = [cell for name in settings for cell in _side_cell(row, name, measure)]
        table.add_row(row.label, *cells, *([_difference(row, measure)] if with_difference else []))
    return table


def _side_cell(row: SideRow, setting: str, measure: Measure) -> tuple[str, str]:
    cell = row.cells.get(setting)
    if cell is None:
        return "–", "–"
    return measure.mean_text(cell.val), f"{measure.mean_text(cell.test)}{_of(cell)}"


def _difference(row: SideRow, measure: Measure) -> str:
    if row.difference is None:
        return "–"
    return f"{'≈ ' if row.outcome == 0 else ''}{measure.signed(row.difference)}"


def _score_table(comparison: MethodComparison, columns: Sequence[Column], group: str | None) -> Table:
    table = plain_table(
        comparison.measure.title("test") + (f", {group}" if group else ""),
        f"mean ± standard deviation over seeds; * best; – not tested{_partial(comparison)}",
    )
    table.add_column("method", overflow="fold")
    for column in columns:
        table.add_column(_header(column), justify="right", no_wrap=True)
    for row in comparison.rows:
        table.add_row(row.label, *(_cell(row, column.dataset, comparison.measure) for column in columns))
    return table


def _partial(comparison: MethodComparison) -> str:
    """The words on cells with fewer repetitions than others, if there are any."""
    if not any(cell.partial for row in comparison.rows for cell in row.cells.values()):
        return ""
    return f"; {FEWER}; such a mean is neither best nor part of means over data sets"


def _header(column: Column) -> str:
    return f"{column.dataset}\n{column.seeds} seed{'s' if column.seeds != 1 else ''}"


def _cell(row: MethodRow, dataset: str, measure: Measure) -> Text:
    text = _text(row, dataset, measure)
    return Text(text, style="bold" if text.endswith("*") else "")


def _text(row: MethodRow, dataset: str, measure: Measure) -> str:
    cell = row.cells.get(dataset)
    if cell is None:
        return "– "
    return f"{measure.mean_text(cell.scores)}{_of(cell)}{'*' if cell.best else ' '}"


def _of(cell: Cell | SideCell) -> str:
    """The number of repetitions of a cell that has fewer than others."""
    return f" ({len(cell.repetitions)})" if cell.partial else ""
