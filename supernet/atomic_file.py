"""Atomic writing of files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO


def write_atomically(path: Path, data: bytes) -> None:
    """Write ``data`` beside ``path``, then rename; a kill or a full disk leaves the old file.

    Raises ``OSError`` (with ``ENOSPC`` when the disk is full) after removing the partial file.
    """
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise


@contextmanager
def text_written_atomically(path: Path) -> Iterator[TextIO]:
    """A text file beside ``path`` to write to, renamed at the end; an error or a kill leaves the old file.

    For files that are too large to be put together in memory. Lines end as they are written.
    """
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
