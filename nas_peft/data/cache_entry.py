"""One data set in the cache: its image files, and the record by which they are checked."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from nas_peft.data.use_lock import in_use

FILES: Mapping[str, tuple[str, ...]] = {"images.bin": ("train", "val"), "test.bin": ("test",)}
"""The parts in each file. The test set has its own, which nothing opens before the seal is broken."""

RECORD = "entry.json"
_END = 1 << 16  # bytes at each end of a file that are looked at whenever it is opened
_PIECE = 1 << 24


@dataclass(frozen=True)
class StoredFile:
    """What a finished image file must be: size, SHA-256 of all of it and of its ends, time of its change."""

    bytes: int
    sha256: str
    ends: str
    changed: int

    @classmethod
    def of(cls, path: Path, sha256: str) -> StoredFile:
        """The state of a file that has just been written."""
        found = path.stat()
        return cls(found.st_size, sha256, _ends(path), found.st_mtime_ns)


@dataclass(frozen=True)
class CacheEntry:
    """A finished entry.

    Attributes:
        folder: folder of the files, named after the key.
        name: name of the data set.
        source: where its images come from.
        shape: shape of an image, ``(3, H, W)``.
        counts: images of each part.
        files: state of each file, by name.
        findings: what going through the images has found, as `Findings.to_dict` gives it.
    """

    folder: Path
    name: str
    source: str
    shape: tuple[int, int, int]
    counts: Mapping[str, int]
    files: Mapping[str, StoredFile]
    findings: Mapping[str, Any]

    @property
    def key(self) -> str:
        """The digest that the entry is found by."""
        return self.folder.name

    @property
    def image_bytes(self) -> int:
        """Bytes of all image files."""
        return sum(file.bytes for file in self.files.values())

    @property
    def nbytes(self) -> int:
        """Bytes of all files in the folder: images, record, features; 0 if another process has removed it."""
        try:
            found = [stat_of(path) for path in self.folder.iterdir()]
        except FileNotFoundError:
            return 0
        return sum(file.st_size for file in found if file is not None)

    @property
    def used(self) -> float:
        """When the entry was last used, in seconds since 1970; 0 if another process has removed it."""
        record = stat_of(self.folder / RECORD)
        return 0.0 if record is None else record.st_mtime

    def mark_used(self) -> None:
        """Set `used` to now, if the file belongs to this user."""
        with suppress(OSError):  # whoever can only read the cache removes nothing from it either
            os.utime(self.folder / RECORD)

    @property
    def in_use(self) -> bool:
        """Whether a process reads it. Whoever does has the file of the training images open."""
        return any(in_use(self.folder / name) for name in self.files)

    def damage(self, how: Literal["glance", "whole"]) -> str | None:
        """What is wrong with the files, or ``None``.

        A glance compares sizes, the ends, and the times of the last change; a file that has another time,
        as a copy has, is read whole. ``whole`` reads every file.
        """
        for name, file in self.files.items():
            path = self.folder / name
            try:
                found = path.stat()
                if found.st_size != file.bytes:
                    return f"'{name}' has {found.st_size:,} bytes instead of {file.bytes:,}"
                if _ends(path) != file.ends:
                    return f"'{name}' has other contents"
                if (how == "whole" or found.st_mtime_ns != file.changed) and digest_of(path) != file.sha256:
                    return f"'{name}' has other contents"
            except OSError as error:
                return f"'{name}': {error.strerror}"
        return None

    def write(self) -> None:
        """Write the record into the folder, atomically."""
        from supernet.atomic_file import write_atomically  # imports torch

        content = {
            "name": self.name,
            "source": self.source,
            "shape": self.shape,
            "counts": dict(self.counts),
            "files": {name: vars(file) for name, file in self.files.items()},
            "findings": self.findings,
        }
        text = json.dumps(content)
        whole = {"sha256": hashlib.sha256(text.encode()).hexdigest(), "entry": text}
        write_atomically(self.folder / RECORD, json.dumps(whole).encode())

    @classmethod
    def read(cls, folder: Path) -> CacheEntry | None:
        """The entry in ``folder``; ``None`` if there is none or its record is damaged."""
        try:
            whole = json.loads((folder / RECORD).read_bytes())
            text: str = whole["entry"]
            if hashlib.sha256(text.encode()).hexdigest() != whole["sha256"]:
                return None
            content: dict[str, Any] = json.loads(text)
            return cls(
                folder,
                content["name"],
                content["source"],
                tuple(content["shape"]),
                content["counts"],
                {name: StoredFile(**file) for name, file in content["files"].items()},
                content["findings"],
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None


def stat_of(path: Path) -> os.stat_result | None:
    """The state of a file; ``None`` if it is not there."""
    try:
        return path.stat()
    except FileNotFoundError:
        return None


def digest_of(path: Path) -> str:
    """SHA-256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()


def _ends(path: Path) -> str:
    with path.open("rb") as file:
        first = file.read(_END)
        file.seek(max(0, path.stat().st_size - _END))
        return hashlib.sha256(first + file.read(_END)).hexdigest()
