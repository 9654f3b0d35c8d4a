"""The lock of a file in use: the cache then removes neither the file nor what is being built beside it."""

from __future__ import annotations

import os
from pathlib import Path


def share(file: int) -> None:
    """Lock an open file against removal by the cache, until it is closed."""
    import fcntl

    fcntl.flock(file, fcntl.LOCK_SH)


def in_use(path: Path) -> bool:
    """Whether any process holds a lock of the file."""
    import fcntl

    try:
        file = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False
