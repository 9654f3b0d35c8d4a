"""A sentence that is said for a process that could not say it: killed, or ended by Ray's own code."""

from __future__ import annotations

import subprocess
from types import TracebackType

_WAITS = 'trap "" INT TERM HUP; read -r line || printf "%s\\n" "$0" >&2'


class LastWords:
    """Context manager that has a shell print ``text`` on standard error if this process ends within it.

    Ray ends the process of a command whose head node has died without returning to Python, and nothing can be
    said after SIGKILL. The shell waits for a line through a pipe, which closes with the process.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._shell: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> LastWords:
        self._shell = subprocess.Popen(
            ["/bin/sh", "-c", _WAITS, self._text],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._shell is not None:
            self._shell.communicate(b"ended\n")
            self._shell = None
