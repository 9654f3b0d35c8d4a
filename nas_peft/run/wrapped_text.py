"""Text in lines that fit, in which what continues a line stands further to the right."""

from __future__ import annotations

import textwrap


def wrapped(message: str, width: int) -> str:
    """The lines of ``message`` in lines of at most ``width`` characters, but for longer words such as paths.

    Lines that continue one are indented by two characters more than its beginning.
    """
    lines: list[str] = []
    for line in message.splitlines():
        indent = " " * (len(line) - len(line.lstrip()) + 2)
        lines += textwrap.wrap(
            line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
        ) or [""]
    return "\n".join(lines)
