"""A file of decoded images, of which each process reads the rows that it needs."""

from __future__ import annotations

import os
import threading
import weakref
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from nas_peft.data.cache_settings import CacheSettings
from nas_peft.data.data_cache import DataCache
from nas_peft.data.image_rows import Pixels, Rows
from nas_peft.data.use_lock import share
from search_spaces.errors import InputError

_MOST_BYTES = 1 << 30  # of one call: systems read at most 2 GB


class ImageFile:
    """A block of images in a file: raw uint8 ``(N, 3, H, W)``, without a header.

    Rows are read by position, not through a memory map: all processes of a machine share the page cache
    either way, but pages of a map count as memory of the process that touches them, and a file that is cut
    short ends a process that has mapped it, where a read can say what is wrong.

    A file is opened at its first read and stays open. While it is open it carries a shared lock, which keeps
    the cache from removing it.

    Args:
        path: the file, which never changes.
        shape: ``(N, 3, H, W)``.
        digest: SHA-256 of the file, by which other machines recognise their copy.
    """

    def __init__(self, path: Path, shape: tuple[int, int, int, int], digest: str) -> None:
        self.path = path
        self.shape = shape
        self.digest = digest
        self._file: int | None = None
        self._lock = threading.Lock()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ImageFile) and other.digest == self.digest and other.shape == self.shape

    def __hash__(self) -> int:
        return hash(self.digest)

    def __reduce__(self) -> tuple[Any, ...]:
        return ImageFile, (self.path, self.shape, self.digest)

    @property
    def nbytes(self) -> int:
        """The size of the file."""
        return prod(self.shape)

    def open(self) -> int:
        """The descriptor of the open file.

        Raises `InputError` if the file is gone or has another size.
        """
        with self._lock:
            if self._file is None:
                self._file = _opened(self._on_this_machine(), self.nbytes)
                weakref.finalize(self, os.close, self._file)
            return self._file

    def _on_this_machine(self) -> Path:
        """The file, or the copy that this machine has got of it; see `node_copies`."""
        if not self.path.exists() and (cache := DataCache.of(CacheSettings.current())) is not None:
            copy = cache.copy(self.digest)
            return copy if copy.exists() else self.path
        return self.path

    def read(self, rows: Rows) -> Pixels:
        """The images at ``rows (M,)``. Raises `InputError` if the file was cut short or cannot be read."""
        file, size = self.open(), prod(self.shape[1:])
        pixels = np.empty((len(rows), *self.shape[1:]), dtype=np.uint8)
        if not len(rows):
            return pixels
        flat = pixels.reshape(-1).data.cast("B")
        ends = [*(np.flatnonzero(np.diff(rows) != 1) + 1).tolist(), len(rows)]
        start = 0
        for end in ends:  # neighbouring rows in one read
            self._fill(file, flat[start * size : end * size], int(rows[start]) * size)
            start = end
        return pixels

    def _fill(self, file: int, into: memoryview, position: int) -> None:
        done = 0
        while done < len(into):
            try:
                read = os.preadv(file, [into[done : done + _MOST_BYTES]], position + done)
            except OSError as error:
                raise _lost(self.path, error.strerror or str(error)) from error
            if not read:
                raise _lost(self.path, "it has become shorter")
            done += read


def _opened(path: Path, nbytes: int) -> int:
    try:
        file = os.open(path, os.O_RDONLY)
    except OSError as error:
        raise _lost(path, error.strerror or str(error)) from error
    if (size := os.fstat(file).st_size) != nbytes:
        os.close(file)
        raise _lost(path, f"it has {size:,} bytes instead of {nbytes:,}")
    share(file)
    return file


def _lost(path: Path, reason: str) -> InputError:
    return InputError(
        f"the decoded images in '{path}' cannot be read ({reason}); start the same command again, "
        "which decodes them anew"
    )
