"""The row of a results table that a name or label means."""

from __future__ import annotations

from nas_peft.run.results import RowResult, SearchResult
from search_spaces import InputError
from search_spaces.errors import unknown_name


def found_row(results: SearchResult, name: str) -> RowResult:
    """The row with a name, or with a label that no other row has.

    Raises `InputError` with the nearest name for none, and with the names of several.
    """
    by_name = {row.name: row for row in results.rows}
    if name in by_name:
        return by_name[name]
    labelled = [row for row in results.rows if row.label == name]
    if len(labelled) == 1:
        return labelled[0]
    if labelled:
        names = ", ".join(row.name for row in labelled)
        raise InputError(f"{len(labelled)} rows are called '{name}'; give one of their names: {names}")
    raise unknown_name("row", name, by_name, "Give one of them to --row.")
