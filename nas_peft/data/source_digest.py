"""A digest by which stored images are found again: it changes with whatever could change them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import numpy as np
import PIL
from PIL import Image, features

from nas_peft.data.listing import Item, Listing, ToTensor

FORMAT = 1
"""Version of what is stored; another one is not read."""

_PROBES = (
    (61, 90),
    (90, 61),
    (400, 300),
)  # height and width of the pictures by which a preprocessing is told


def source_digest(listing: Listing, to_tensor: ToTensor, max_pixels: int) -> str | None:
    """SHA-256 of classes, names, labels and files of a listing, in order, and of how images are decoded.

    A file counts by path, size and time of its last change; a source without a file for each image by its
    ``version``. A preprocessing counts by what it makes of a few pictures, so that another version of a
    library counts too, if it resamples otherwise.

    Returns ``None`` for a source of which nothing tells whether its images have changed.
    """
    digest = hashlib.sha256()

    def add(*values: object) -> None:
        digest.update(json.dumps(values).encode() + b"\n")

    add(FORMAT, PIL.__version__, features.version("jpg"), max_pixels, _of_preprocessing(to_tensor))
    add(listing.classes, listing.version)
    for part, items in listing.parts():
        add(part, len(items))
        for item in items:
            if item.file is None and listing.version is None:
                return None
            add(item.name, item.label, *_state(item))
    return digest.hexdigest()


def files_digest(files: Iterable[Path]) -> str:
    """SHA-256 of the paths, sizes and times of files: the ``version`` of a source made of them."""
    digest = hashlib.sha256()
    for file in files:
        found = file.stat()
        digest.update(json.dumps([str(file), found.st_size, found.st_mtime_ns]).encode())
    return digest.hexdigest()


def _state(item: Item) -> Iterator[int]:
    if item.file is None:
        return
    try:
        found = item.file.stat()
    except OSError:  # decoding it will say what is wrong
        yield -1
    else:
        yield from (found.st_size, found.st_mtime_ns)


@cache
def _pictures() -> tuple[Image.Image, ...]:
    rng = np.random.default_rng(0)
    sides = ((height, width, 3) for height, width in _PROBES)
    return tuple(Image.fromarray(rng.integers(0, 256, side, dtype=np.uint8)) for side in sides)


def _of_preprocessing(to_tensor: ToTensor) -> str:
    digest = hashlib.sha256()
    for picture in _pictures():
        made = to_tensor(picture)
        digest.update(repr(tuple(made.shape)).encode() + made.contiguous().numpy().tobytes())
    return digest.hexdigest()
