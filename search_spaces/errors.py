"""The error that a user's mistake raises, in every layer."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path


class InputError(ValueError):
    """A mistake in what the user gave: a name, a file, a number.

    The message is one line that names the thing, what is allowed and the remedy. The command line prints the
    message on standard error and exits with status 2, without a traceback.
    """


class DamagedFile(InputError):
    """A file of a run that is not as it was written."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(
            f"'{path}' is damaged ({reason}); remove it, and start the command of the run again, which does "
            "that part again"
        )


def unknown_name(thing: str, name: str, allowed: Iterable[str], remedy: str = "") -> InputError:
    """The error for a name that does not exist: a name that is near, if any, the existing names, the remedy.

    ``unknown_name("space", "noah-vtb", ["default", "noah-vtab"])`` reads
    ``unknown space 'noah-vtb'; did you mean 'noah-vtab'? There are: default, noah-vtab.``
    """
    names = sorted(allowed)
    begun = [known for known in names if len(name) > 2 and known.startswith(name)]
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6) or begun
    guess = f"; did you mean '{close[0]}'?" if close else "."
    listed = ", ".join(names) if names else "none"
    return InputError(f"unknown {thing} '{name}'{guess} There are: {listed}.{' ' + remedy if remedy else ''}")
