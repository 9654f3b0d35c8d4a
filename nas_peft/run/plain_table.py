"""The one style of all tables that are printed: no frame, narrow gaps, nothing cut, no word a command.

Cells, titles and captions may have a user's names, in which ``[m3]`` and ``:car:`` are letters.
"""

from __future__ import annotations

from typing import Any

from rich import box
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

GAP = 2
"""Characters between two columns."""

LINE = 80
"""Characters of a line of a title or caption, unless the terminal is narrower or the table wider."""


class NotedTable(Table):
    """A table of plain text, whose title and caption do not have to be as narrow as the table."""

    def add_column(self, header: RenderableType = "", footer: RenderableType = "", **options: Any) -> None:
        """Add a column as `Table` does, with a header of plain text."""
        super().add_column(_plain(header), footer, **options)

    def add_row(self, *cells: RenderableType | None, **options: Any) -> None:
        """Add a row as `Table` does, with cells of plain text."""
        super().add_row(*map(_plain, cells), **options)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Title, table and caption; title and caption in lines of at most `LINE` characters."""
        title, caption = self.title, self.caption
        self.title = self.caption = None
        try:
            width = min(options.max_width, max(LINE, self.__rich_measure__(console, options).maximum))
            if title:
                yield from Text(str(title), style="table.title").wrap(console, width)
            yield from super().__rich_console__(console, options)
            if caption:
                yield from Text(str(caption), style="table.caption").wrap(console, width)
        finally:
            self.title, self.caption = title, caption


def plain_table(title: str, caption: str = "") -> Table:
    """A table without columns; ``title`` and ``caption`` are plain text and are wrapped, never cut."""
    return NotedTable(
        title=title or None,
        caption=caption or None,
        title_justify="left",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, 0, 0, GAP - 1),  # the box has one character more
    )


def _plain(cell: Any) -> Any:
    return Text(cell) if isinstance(cell, str) else cell


def add_text(table: Table, header: str = "") -> None:
    """Add a column of words."""
    table.add_column(header, no_wrap=True)


def add_number(table: Table, header: str) -> None:
    """Add a column of numbers; a header of several lines keeps the column narrow."""
    table.add_column(header, justify="right", no_wrap=True)
