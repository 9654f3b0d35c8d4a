"""Tables of the report, independent of how they are shown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class DataTable:
    """A table of texts: the first cell of each row names the row.

    Args:
        caption: what the table holds; read first by a screen reader.
        columns: headers.
        rows: cells, as many as headers.
        numbers: indices of the columns that are aligned as numbers.
        marked: indices of the rows to emphasise.
        note: how to read the table, in a sentence or two below it.
    """

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numbers: frozenset[int] = frozenset()
    marked: frozenset[int] = frozenset()
    note: str = ""

    def __post_init__(self) -> None:
        if any(len(row) != len(self.columns) for row in self.rows):
            raise ValueError(f"a row of the table '{self.caption}' has not {len(self.columns)} cells")


def data_table(
    caption: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    texts: int = 1,
    marked: Iterable[int] = (),
    note: str = "",
) -> DataTable:
    """A table whose first ``texts`` columns are texts and the others numbers."""
    cells = tuple(tuple(row) for row in rows)
    numbers = frozenset(range(texts, len(columns)))
    return DataTable(caption, tuple(columns), cells, numbers, frozenset(marked), note)
