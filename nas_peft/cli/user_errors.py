"""Turning a user's mistake into one line and exit status 2."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from search_spaces.errors import InputError

_OF_THE_MACHINE = {
    errno.ENOSPC: "no space left on the disk; free some, and start the same command again to go on",
    errno.EDQUOT: "the disk quota is used up; free some, and start the same command again to go on",
    errno.EROFS: "the file system is read-only; give another place",
    errno.EACCES: "permission denied; give another place, or change the permissions",
    errno.EPERM: "operation not permitted; give another place, or change the permissions",
    errno.ENAMETOOLONG: "the name is too long for the file system; give a shorter one",
    errno.ELOOP: "its links lead back to themselves; remove one of them",
    errno.EMFILE: "too many open files; raise the limit with 'ulimit -n', and start the same command again",
    errno.EIO: "the disk failed to read or write (input/output error); check it or copy the data elsewhere",
    errno.ESTALE: "the network drive lost the file; mount it again, and start the same command again",
    errno.ENOTDIR: "a part of the path is a file; give another place",
}


@contextmanager
def user_errors(debug: bool) -> Iterator[None]:
    """Print ``error: ...`` on standard error and exit with 2, or let the traceback through with ``debug``."""
    try:
        yield
    except InputError as error:
        if debug:
            raise
        _exit(str(error))
    except BrokenPipeError:  # whoever read the output, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(141) from None
    except OSError as error:
        if debug or error.errno not in _OF_THE_MACHINE:
            raise
        where = f"'{error.filename}': " if error.filename else ""
        _exit(where + _OF_THE_MACHINE[error.errno])
    except KeyboardInterrupt:
        if debug:
            raise
        print("stopped; start the same command again to go on", file=sys.stderr)
        raise typer.Exit(130) from None


def _exit(message: str) -> None:
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    raise typer.Exit(2)
