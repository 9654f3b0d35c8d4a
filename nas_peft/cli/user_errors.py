"""Errors that a user can remedy, shown as one line instead of a traceback."""

from __future__ import annotations

import errno
import signal
import sys
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import typer

from nas_peft.cli.lost_output import let_go_of_output, write_nowhere
from nas_peft.cli.stop_signals import Stopped, stop_signals
from search_spaces.errors import InputError

_OF_THE_MACHINE = {
    errno.ENOSPC: "no space left on the disk; free some, and start the same command again to go on",
    errno.EDQUOT: "the disk quota is used up; free some, and start the same command again to go on",
    errno.EFBIG: "the file grows beyond what the file system or 'ulimit -f' allows; raise the limit or give "
    "another path, and start the same command again to go on",
    errno.EROFS: "the file system is read-only; give another path",
    errno.EACCES: "permission denied; give another path, or change the permissions",
    errno.EPERM: "operation not permitted; give another path, or change the permissions",
    errno.ENAMETOOLONG: "the name is too long for the file system; give a shorter one",
    errno.ELOOP: "its symbolic links form a loop; remove one of them",
    errno.EMFILE: "too many open files; raise the limit with 'ulimit -n', and start the same command again",
    errno.EIO: "reading or writing failed (input/output error); check the disk, or copy the data elsewhere",
    errno.ESTALE: "the network drive lost the file; mount it again, and start the same command again",
    errno.ENOTDIR: "a folder in the path is a file; give another path",
}

_LONGEST = 1200  # characters of a message; some of ours list all kinds of modules


@contextmanager
def user_errors(debug: bool) -> Iterator[None]:
    """Print an error that the user can remedy as ``error: ...`` on standard error, and exit with status 2.

    Such errors are `InputError` and faults of disks and file systems; other errors keep their traceback. The
    exit status is 130 after an interrupt, 128 and its number after another signal that asks to stop, and 141
    (as after SIGPIPE) if the output is a pipe that was closed.
    ``debug`` shows the traceback of all errors but a closed pipe.
    """
    try:
        with stop_signals():
            yield
            _flush()
    except InputError as error:
        if debug:
            raise
        _exit(str(error))
    except BrokenPipeError:  # the reader of the output, such as head, has ended
        write_nowhere(sys.stdout.fileno())
        raise typer.Exit(141) from None
    except OSError as error:
        if not debug and (stop := _stop_before(error)) is not None:
            raise typer.Exit(_status(stop)) from None
        reason = of_the_machine(error)
        if debug or reason is None:
            raise
        let_go_of_output()
        _exit(reason)
    except KeyboardInterrupt as error:
        if debug:
            raise
        with suppress(OSError):  # the terminal may be gone
            print("stopped; start the same command again to go on", file=sys.stderr)
        raise typer.Exit(_status(error)) from None


def of_the_machine(error: OSError) -> str | None:
    """The file, the reason and the remedy of a fault of disk or file system; ``None`` for any other error."""
    if error.errno not in _OF_THE_MACHINE:
        return None
    where = f"'{error.filename}': " if error.filename else ""
    return where + _OF_THE_MACHINE[error.errno]


def _flush() -> None:
    """Write what standard output still holds, while an error of that is told of as all others."""
    if sys.stdout is not None:  # closed from the start
        sys.stdout.flush()


def _status(stop: KeyboardInterrupt) -> int:
    return 128 + (stop.number if isinstance(stop, Stopped) else signal.SIGINT)


def _stop_before(error: BaseException) -> KeyboardInterrupt | None:
    """The interrupt in whose handling the error arose: a display cannot be ended on a lost terminal."""
    before = error.__context__
    while before is not None and not isinstance(before, KeyboardInterrupt):
        before = before.__context__
    return before


def _exit(message: str) -> None:
    print_error(message)
    raise typer.Exit(2)


def print_error(message: str) -> None:
    """Print a mistake as one line on standard error; the middle of a very long one is left out.

    A value that the user gave may have a million characters, or some that a terminal would obey.
    """
    line = "".join(map(_shown, " ".join(message.split())))
    if len(line) > _LONGEST:
        line = f"{line[: _LONGEST // 2]} ... {line[-_LONGEST // 2 :]}"
    with suppress(OSError):  # the terminal may be gone; the exit status tells
        print(f"error: {line}", file=sys.stderr)


def _shown(character: str) -> str:
    if unicodedata.category(character) in ("Cc", "Cs"):  # control characters, and bytes that are no text
        return character.encode("unicode_escape").decode()
    return character
