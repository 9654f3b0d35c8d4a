"""The console of all commands: words are printed as they are, and a reader that has gone is told of."""

from __future__ import annotations

import errno
import os
from typing import TextIO

from rich.console import Console


class TextConsole(Console):
    """A console without markup, emoji codes and coloured numbers: names may have brackets and colons."""

    def __init__(self, *, stderr: bool = False, file: TextIO | None = None, width: int | None = None) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, stderr=stderr, file=file, width=width)

    def on_broken_pipe(self) -> None:
        """Raise `BrokenPipeError`, as `print` does, where rich would end the process with status 1."""
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))
