"""The lock of a file in use: the cache then removes neither the file nor what is being built beside it."""

from __future__ import annotations

import os
from collections.abc import Callable
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


def locked_file(path: Path, on_wait: Callable[[], None] = lambda: None) -> int:
    """A descriptor of the lock file ``path``, which this process alone holds until it closes the descriptor.

    ``on_wait`` is called before waiting for another process. A lock file that was removed meanwhile is made
    anew: a lock of the removed one would keep nobody out. Raises ``OSError`` where there can be no such file.
    """
    import fcntl

    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                on_wait()
                fcntl.flock(file, fcntl.LOCK_EX)
            if _is_at(file, path):
                return file
        except BaseException:
            os.close(file)
            raise
        os.close(file)


def remove_unheld(path: Path) -> None:
    """Remove a lock file, unless a process holds the lock."""
    import fcntl

    try:
        file = os.open(path, os.O_RDONLY)
    except OSError:
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if _is_at(file, path):
            path.unlink()
    except BlockingIOError:
        return
    finally:
        os.close(file)


def _is_at(file: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except FileNotFoundError:
        return False
