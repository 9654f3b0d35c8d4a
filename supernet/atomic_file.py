"""Atomic writing of files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from search_spaces.errors import InputError


def write_atomically(path: Path, data: bytes) -> None:
    """Write ``data`` beside ``path``, then rename; a kill or a full disk leaves the old file.

    Raises ``OSError`` (with ``ENOSPC`` when the disk is full) after removing the partial file, and
    `InputError` for a path that takes no file.
    """
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except FileNotFoundError as error:
        raise _no_place(path) from error
    except OSError:
        partial.unlink(missing_ok=True)
        raise


def _no_place(path: Path) -> InputError:
    return InputError(
        f"'{path}' cannot be written: its folder is missing or takes no files; give another path"
    )


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
    except FileNotFoundError as error:
        if str(error.filename) == str(partial):
            raise _no_place(path) from error
        partial.unlink(missing_ok=True)
        raise
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
