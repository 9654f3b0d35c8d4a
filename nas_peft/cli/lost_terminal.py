"""Outputs that go away while a command works on: a terminal under ``nohup`` or ``disown``, a pipe, a disk."""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Buffer

_STREAMS = ("stdout", "stderr")


class _Terminal(io.FileIO):
    """A terminal's descriptor; what is written after the terminal has gone is lost, and no error."""

    def write(self, data: Buffer, /) -> int:
        """Write ``data`` as `io.FileIO` does."""
        try:
            return super().write(data)
        except OSError as error:
            if error.errno != errno.EIO:  # what Linux and macOS answer for a terminal without its other end
                raise
            write_nowhere(self.fileno())
            return memoryview(data).nbytes


def write_nowhere(descriptor: int) -> None:
    """Let go of whatever is written to an open ``descriptor`` from now on, also by Python at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)


def outlive_terminal() -> None:
    """Let the command go on when the terminal of its output has gone, instead of failing at the next line.

    Where the loss sends SIGHUP and nobody ignores it, the command ends by that signal. With ``nohup`` or
    ``disown`` nothing but a failed write tells of it. Outputs that are no terminal stay as they are.
    """
    for name in _STREAMS:
        stream = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper) and stream.isatty():
            stream.flush()
            lasting = io.BufferedWriter(_Terminal(stream.fileno(), "wb", closefd=False))
            setattr(
                sys,
                name,
                io.TextIOWrapper(
                    lasting, encoding=stream.encoding, errors=stream.errors, line_buffering=True
                ),
            )
