"""Command lines of the benchmarks: a parser whose mistakes are one line, and the exit status."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from search_spaces import InputError


class StudyParser(argparse.ArgumentParser):
    """Parser of ``python -m benchmarks.<study>``; raises `InputError` for a mistake in the command line."""

    def __init__(self, study: str, about: str) -> None:
        super().__init__(prog=f"python -m benchmarks.{study}", description=about)

    def error(self, message: str) -> NoReturn:
        """Raise the mistake, so that `exit_status` prints one line instead of the usage."""
        raise InputError(f"{message}; --help lists the options")


def whole_number(text: str) -> int:
    """Parse an option that is a whole number from 1."""
    if not (text.isascii() and text.isdigit() and int(text)):
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number from 1")
    return int(text)


def exit_status(run: Callable[[Sequence[str]], None], argv: Sequence[str] | None) -> int:
    """Run a command line and return its exit status: 0, or 2 after one line on standard error.

    ``argv`` defaults to the arguments of the process. Only `InputError` counts as a mistake of the user.
    """
    try:
        run(sys.argv[1:] if argv is None else argv)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0
