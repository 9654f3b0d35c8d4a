"""Outputs that go away while a command works on: a terminal under ``nohup``, a reader, a full disk."""

from __future__ import annotations

import errno
import io
import os
import stat
import sys
from collections.abc import Collection
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Buffer

_TERMINAL_GONE = frozenset({errno.EIO})  # what Linux and macOS answer for a terminal without its other end
_READER_GONE = frozenset({errno.EPIPE, errno.ECONNRESET})


class _Lasting(io.FileIO):
    """A descriptor; what is written after its other end has gone is lost, and no error."""

    def __init__(self, descriptor: int, gone: Collection[int]) -> None:
        super().__init__(descriptor, "wb", closefd=False)
        self._gone = gone

    def write(self, data: Buffer, /) -> int:
        """Write ``data`` as `io.FileIO` does."""
        try:
            return super().write(data)
        except OSError as error:
            if error.errno not in self._gone:
                raise
            write_nowhere(self.fileno())
            return memoryview(data).nbytes


def write_nowhere(descriptor: int) -> None:
    """Let go of whatever is written to an open ``descriptor`` from now on, also by Python at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)


def let_go_of_output() -> None:
    """Let go of what standard output holds if it takes no more, such as a file on a full disk.

    Python would try to write that at its end, and fail with words and a status of its own.
    """
    try:
        if sys.stdout is not None:  # closed from the start
            sys.stdout.flush()
    except OSError:
        write_nowhere(sys.stdout.fileno())


def outlive_terminal() -> None:
    """Let the command go on when the terminal of its output has gone, instead of failing at the next line.

    Where the loss sends SIGHUP and nobody ignores it, the command ends by that signal. With ``nohup`` or
    ``disown`` nothing but a failed write tells of it. Standard error may also lose the reader of its pipe:
    progress and remarks are never what a command is for. Standard output to a pipe or file stays as it is.
    """
    _outlive("stdout", terminal=True, reader=False)
    _outlive("stderr", terminal=True, reader=True)


def outlive_reader() -> None:
    """Let the command go on when the reader of its standard output has gone, such as ``tee`` or a program.

    This is for commands whose product is a run folder; one whose product is what it prints ends then.
    """
    _outlive("stdout", terminal=False, reader=True)


def _outlive(name: str, *, terminal: bool, reader: bool) -> None:
    stream = getattr(sys, name)
    if not isinstance(stream, io.TextIOWrapper):
        return
    try:
        descriptor = stream.fileno()
    except io.UnsupportedOperation:  # a stream in memory
        return
    if terminal and stream.isatty():
        gone = _TERMINAL_GONE
    elif reader and _is_pipe(descriptor):
        gone = _READER_GONE
    else:
        return
    stream.flush()
    lasting = io.TextIOWrapper(
        io.BufferedWriter(_Lasting(descriptor, gone)),
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )
    setattr(sys, name, lasting)


def _is_pipe(descriptor: int) -> bool:
    mode = os.fstat(descriptor).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)
