"""Names with a text on each, in two columns of the terminal's width."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence

NARROWEST = 20
WIDEST = 100
_GAP = 2
_NO_BREAK = "\N{NO-BREAK SPACE}"

Row = tuple[str, str]
"""A name, and the text on it."""


def two_columns(rows: Iterable[Row], *, names: int, width: int, indent: int = 2) -> Iterator[str]:
    """Lines of at most ``width`` columns, with ``names`` columns for the names.

    A longer name stands on a line of its own. Lines never break within a word, even at a hyphen: an option
    can be copied as it stands.
    """
    margin, blank = " " * indent, " " * names
    for name, text in rows:
        together = text.replace("default: ", f"default:{_NO_BREAK}")
        wrapped = textwrap.wrap(
            together,
            max(NARROWEST, width - indent - names - _GAP),
            break_on_hyphens=False,
            break_long_words=False,
        )
        lines = [line.replace(_NO_BREAK, " ") for line in wrapped]
        if len(name) > names or not lines:
            yield f"{margin}{name}"
        else:
            yield f"{margin}{name:<{names}}{' ' * _GAP}{lines.pop(0)}"
        yield from (f"{margin}{blank}{' ' * _GAP}{line}" for line in lines)


def print_sections(sections: Mapping[str, Sequence[Row]]) -> None:
    """Print the rows of each section under its heading, with a blank line between sections."""
    width = min(WIDEST, shutil.get_terminal_size().columns)
    lengths = [len(name) for rows in sections.values() for name, _ in rows]
    names = max((length for length in lengths if length <= width // 2), default=0)
    texts = (
        "\n".join([f"{heading}:", *two_columns(rows, names=names, width=width)])
        for heading, rows in sections.items()
    )
    print("\n\n".join(texts))
