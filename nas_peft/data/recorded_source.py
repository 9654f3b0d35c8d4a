"""Recognition of a data set that a model was trained on, by the record of its training."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Mapping, Sequence
from os.path import commonpath, relpath
from pathlib import Path
from typing import Any

import numpy as np

from nas_peft.data.image_files import shown_name
from nas_peft.data.listing import Item, Listing
from nas_peft.data.source import path_of


def shown_path(spec: str) -> str | None:
    """The whole path of the folder or table that ``spec`` names, as `shown_name` writes it; None for a name.

    This is what a record needs: ``spec`` itself may be relative to a working folder that is not recorded.
    """
    path = path_of(spec)
    return None if path is None else shown_name(str(path))


def is_recorded(spec: str, record: Mapping[str, Any]) -> bool:
    """Whether ``spec`` names the data set of ``record``, from any working folder.

    Records of earlier versions have no ``path``, but the path stands at the end of their ``source``.
    """
    if not record:
        return False
    path = shown_path(spec)
    if path is None:
        return record.get("path") is None and shown_name(spec) == record.get("spec")
    if "path" in record:
        return path == str(record["path"])
    return str(record.get("source", "")).endswith(f" {path}") or path == shown_path(
        str(record.get("spec", ""))
    )


def is_like_recorded(listing: Listing, classes: Sequence[str], record: Mapping[str, Any]) -> bool:
    """Whether a data set has the classes of ``record`` and as many images of each, as a moved one has.

    ``classes`` are the names of the record's classes, in its order.
    """
    counts = record.get("class_counts") or {}
    if not counts or set(listing.classes) != set(classes):
        return False
    found = np.sum([listing.class_counts(items) for _, items in listing.parts()], axis=0)
    of_class = dict(zip(listing.classes, found.tolist(), strict=True))
    recorded: list[int] = np.sum([*counts.values()], axis=0).tolist()
    return len(recorded) == len(classes) and recorded == [of_class[name] for name in classes]


def names_digest(items: Sequence[Item]) -> str:
    """SHA-256 of the sorted names of images, equal for a data set that was moved as a whole.

    Paths count from the folder that has all the files, and in Unicode's composed form.
    """
    files = [item.file for item in items if item.file is not None]
    if files and len(files) == len(items):
        whole = [Path(file).absolute() for file in files]
        folder = commonpath([file.parent for file in whole])
        names = [relpath(file, folder) for file in whole]
    else:
        names = [item.name for item in items]
    lines = sorted(unicodedata.normalize("NFC", name) for name in names)
    return hashlib.sha256("\0".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


def is_recorded_test(items: Sequence[Item], counts: Sequence[int], record: Mapping[str, Any]) -> bool:
    """Whether a test part is that of ``record``: by the names of its images, which earlier versions lack.

    Without names the numbers of images decide, by class (``counts``, in the record's order) or in all. True
    if the record has none of these.
    """
    if digest := record.get("test_names"):
        return bool(names_digest(items) == digest)
    if (by_class := record.get("class_counts", {}).get("test")) is not None:
        return list(by_class) == list(counts)
    return bool(len(items) == record.get("counts", {}).get("test", len(items)))
