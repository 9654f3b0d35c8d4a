"""Where decoded images are kept, and how much of the disk they may take."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from nas_peft.data.home_folder import expanded
from search_spaces.errors import InputError

FOLDER_VARIABLE, LIMIT_VARIABLE = "NAS_PEFT_CACHE", "NAS_PEFT_CACHE_LIMIT"
NONE = "none"
"""The folder's name that switches the cache off."""

IN_MEMORY = 64 << 20
"""Bytes of decoded images below which a data set is decoded at each start and kept in memory.

So few images are decoded within seconds (64 MB are 446 images of 224 pixels), and a copy in each process is
smaller than the libraries that the process has loaded.
"""

SHARE_OF_DISK = 0.2
"""The share of its disk that the cache takes at most, unless a limit is given."""

_UNITS = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}


@dataclass(frozen=True)
class CacheSettings:
    """Where and from what size on decoded images are kept.

    Attributes:
        folder: folder of the cache; ``None`` for no cache.
        limit: most bytes of the cache; ``None`` for `SHARE_OF_DISK`.
        smallest: see `IN_MEMORY`.
    """

    folder: Path | None
    limit: int | None = None
    smallest: int = IN_MEMORY

    @classmethod
    def of(
        cls, folder: str | Path | None, limit: str | None, environment: Mapping[str, str]
    ) -> CacheSettings:
        """Settings as given, else those of the environment's variables, else the user's cache folder.

        Raises `InputError` for a limit that is no size, and for a folder that is a file.
        """
        given = str(folder) if folder is not None else environment.get(FOLDER_VARIABLE) or None
        size = limit if limit is not None else environment.get(LIMIT_VARIABLE) or None
        most = None if size is None else parse_size(size)
        if given is not None and given.casefold() == NONE:
            return cls(None, most, IN_MEMORY)
        path = expanded(given).absolute() if given else default_folder(environment)
        if path.exists() and not path.is_dir():
            raise InputError(f"the cache '{path}' is a file; give a folder to --cache, or none")
        return cls(path, most, IN_MEMORY)

    @classmethod
    def current(cls) -> CacheSettings:
        """The settings of this process's environment."""
        return cls.of(None, None, os.environ)


def default_folder(environment: Mapping[str, str]) -> Path:
    """The folder for decoded images in the user's cache folder, wherever the system has that."""
    if sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        named = environment.get("XDG_CACHE_HOME", "")
        base = Path(named) if Path(named).is_absolute() else Path.home() / ".cache"
    return base / "nas-peft" / "images"


def default_limit(folder: Path) -> int:
    """`SHARE_OF_DISK` of the disk that ``folder`` is or would be on, in bytes."""
    return int(SHARE_OF_DISK * shutil.disk_usage(existing(folder)).total)


def existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists."""
    return next(path for path in (folder, *folder.parents) if path.is_dir())


def parse_size(text: str) -> int:
    """Bytes of a size such as ``50GB``. Raises `InputError` for anything else."""
    found = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([KMGT]?B)\s*", text, re.IGNORECASE)
    if found is None:
        raise InputError(
            f"the size '{text}' is not understood; give a number and a unit, such as 50GB or 500MB"
        )
    return int(float(found[1]) * _UNITS[found[2].upper()])


def size_text(number: int) -> str:
    """A number of bytes for people: ``9.03 GB``."""
    unit = next((u for u in ("TB", "GB", "MB", "KB") if number >= _UNITS[u]), "B")
    return f"{number / _UNITS[unit]:.3g} {unit}"
