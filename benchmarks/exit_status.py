"""How a script ends."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from search_spaces import InputError


def exit_status(run: Callable[[Sequence[str]], None], argv: Sequence[str] | None) -> int:
    """Run a command line, that of the process if none is given: 2 and one line for a mistake in it, or 0."""
    try:
        run(sys.argv[1:] if argv is None else argv)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0
