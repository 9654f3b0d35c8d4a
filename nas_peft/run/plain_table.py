"""The one style of all tables that are printed: no frame, narrow gaps, nothing cut."""

from __future__ import annotations

from rich import box
from rich.markup import escape
from rich.table import Table

GAP = 2
"""Characters between two columns."""


def plain_table(title: str, caption: str = "") -> Table:
    """A table without columns; ``title`` and ``caption`` are plain text and are wrapped, never cut."""
    return Table(
        title=escape(title) or None,
        caption=escape(caption) or None,
        title_justify="left",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, 0, 0, GAP - 1),  # the box has one character more
    )


def add_text(table: Table, header: str = "") -> None:
    """Add a column of words."""
    table.add_column(header, no_wrap=True)


def add_number(table: Table, header: str) -> None:
    """Add a column of numbers; a header of several lines keeps the column narrow."""
    table.add_column(header, justify="right", no_wrap=True)
