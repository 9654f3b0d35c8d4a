"""The images of a source that can only be read from its beginning, kept so that each can be loaded alone."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, TypeAlias

import numpy as np

from nas_peft.data.data_cache import keep, not_writable
from nas_peft.data.listing import Item

if TYPE_CHECKING:  # a wrong data set is reported before torch is imported
    from torch import Tensor

Stream: TypeAlias = "Callable[[], Iterable[tuple[str, int, Tensor]]]"
"""Reads a split: name, label and decoded image, uint8 ``(3, H, W)``, of one image after another."""


@dataclass
class StreamStore:
    """Reads streams once, and keeps few images in memory and many in a temporary file.

    The labels of a stream whose ``version`` is known are remembered in ``folder``, so that a later start
    reads the stream only if the images themselves are not in the cache.

    Args:
        folder: folder of the cache; ``None`` keeps everything in memory.
        smallest: bytes of a split from which it is kept in a file.
        make_room: called with the bytes that are about to be written, before the first; raises `InputError`
            if there is no room.
    """

    folder: Path | None = None
    smallest: int = 0
    make_room: Callable[[int], None] = field(default=lambda needed: None)

    def items(self, stream: Stream, version: str | None, declared: int | None) -> tuple[Item, ...]:
        """The images of a split, in the order of the stream.

        ``version`` changes with the split; ``declared`` is the number of its images, if that is known.
        """
        split = _Split(self, stream, declared)
        known = self._known(version)
        if known is None:
            known = split.read()
            self._remember(version, known)
        return tuple(
            Item(name, label, partial(split.image, number)) for number, (name, label) in enumerate(known)
        )

    def _known(self, version: str | None) -> list[tuple[str, int]] | None:
        if self.folder is None or version is None:
            return None
        try:
            return [
                (name, label) for name, label in json.loads(self._file(self.folder, version).read_bytes())
            ]
        except (OSError, ValueError):
            return None

    def _remember(self, version: str | None, known: list[tuple[str, int]]) -> None:
        if self.folder is not None and version is not None and self.folder.is_dir():
            keep(self._file(self.folder, version), json.dumps(known).encode())

    @staticmethod
    def _file(folder: Path, version: str) -> Path:
        return folder / f"{version}.stream.json"


class _Split:
    """The images of one split, read from the stream when one of them is asked for."""

    def __init__(self, store: StreamStore, stream: Stream, declared: int | None) -> None:
        self._store = store
        self._stream = stream
        self._declared = declared
        self._lock = threading.Lock()
        self._images: list[Tensor] | None = None
        self._file: IO[bytes] | None = None
        self._shape: tuple[int, ...] = ()

    def read(self) -> list[tuple[str, int]]:
        """Go through the stream; names and labels."""
        found: list[tuple[str, int]] = []
        images: list[Tensor] = []
        for name, label, image in self._stream():
            found.append((name, label))
            self._shape = image.shape
            if self._file is None:
                images.append(image)
                if self._large(len(images), image):
                    self._file = self._new_file(image)
                    for earlier in images:
                        self._file.write(earlier.contiguous().numpy().data)
                    images = []
            else:
                self._file.write(image.contiguous().numpy().data)
        if self._file is not None:
            self._file.flush()
        self._images = images
        return found

    def image(self, number: int) -> Tensor:
        """The image of this number."""
        with self._lock:
            if self._images is None:
                self.read()
        if self._file is None:
            assert self._images is not None
            return self._images[number]
        import torch

        pixels = np.empty(self._shape, dtype=np.uint8)
        os.preadv(self._file.fileno(), [pixels.reshape(-1).data], number * pixels.nbytes)
        return torch.from_numpy(pixels)

    def _large(self, number: int, image: Tensor) -> bool:
        return self._store.folder is not None and number * image.nbytes >= self._store.smallest

    def _new_file(self, image: Tensor) -> IO[bytes]:
        assert self._store.folder is not None
        if self._declared is not None:
            self._store.make_room(self._declared * image.nbytes)
        try:
            self._store.folder.mkdir(parents=True, exist_ok=True)
            file = tempfile.TemporaryFile(dir=self._store.folder)  # noqa: SIM115 - open as long as this is
        except OSError as error:
            raise not_writable(self._store.folder, error) from error
        weakref.finalize(self, file.close)
        return file


def contents_digest(items: Iterable[Item]) -> str:
    """SHA-256 of the decoded images, for a source of which nothing else tells whether it has changed."""
    digest = hashlib.sha256()
    for image in _images(items):
        digest.update(image.contiguous().numpy().data)
    return digest.hexdigest()


def _images(items: Iterable[Item]) -> Iterator[Tensor]:
    return (item.load() for item in items)
