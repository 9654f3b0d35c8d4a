"""The temporary folder of a Ray that is started on this machine: its length and its permissions."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from search_spaces.errors import InputError

LONGEST_SOCKET = 103 if sys.platform == "darwin" else 107
"""Bytes of the path of a socket, by the system."""

_SOCKET = "ray/session_2000-01-01_00-00-00_000000_0000000/sockets/plasma_store"


def ray_folder() -> Path:
    """The folder in which Ray makes its own."""
    return Path(os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or "/tmp")


def socket_length(folder: Path) -> int:
    """Bytes of the path of Ray's longest socket."""
    return len(os.fsencode(folder / _SOCKET))


def require_ray_folder() -> None:
    """Raise `InputError` if Ray cannot start in its temporary folder."""
    folder = ray_folder()
    if (length := socket_length(folder)) > LONGEST_SOCKET:
        raise InputError(
            f"Ray cannot start: with the temporary folder '{folder}' the path of its socket has {length} "
            f"bytes, and {LONGEST_SOCKET} are allowed; set RAY_TMPDIR to a shorter one, such as /tmp"
        )
    place = folder / "ray" if (folder / "ray").exists() else folder
    if not (place.is_dir() and os.access(place, os.W_OK | os.X_OK)):
        raise InputError(
            f"Ray cannot start: its temporary folder '{place}' cannot be written; set RAY_TMPDIR to another, "
            "such as /tmp"
        )
