"""The temporary folder of a Ray that is started on this machine: its length, name and permissions."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from search_spaces.errors import InputError

LONGEST_SOCKET = 103 if sys.platform == "darwin" else 107
"""Bytes of the path of a socket, by the system."""

_SOCKET = "ray/session_2000-01-01_00-00-00_000000_0000000/sockets/plasma_store"
_ELSEWHERE = "start the command in another folder, and name this one with --out"


def ray_folder() -> Path:
    """The folder in which Ray makes its own."""
    return Path(os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or "/tmp")


def socket_length(folder: Path) -> int:
    """Bytes of the path of Ray's longest socket."""
    return len(os.fsencode(folder / _SOCKET))


def require_ray_folder() -> None:
    """Raise `InputError` if Ray cannot start in its temporary folder or in the current one."""
    folder = ray_folder()
    if (length := socket_length(folder)) > LONGEST_SOCKET:
        raise InputError(
            f"Ray cannot start: with the temporary folder '{folder}' the path of its socket has {length} "
            f"bytes, and {LONGEST_SOCKET} are allowed; set RAY_TMPDIR to a shorter one, such as /tmp"
        )
    for place, remedy in ((folder, "set RAY_TMPDIR to another, such as /tmp"), (Path.cwd(), _ELSEWHERE)):
        if not _is_utf8(place):
            raise InputError(f"Ray cannot start: the name of the folder '{place}' is not UTF-8; {remedy}")
    place = folder / "ray" if (folder / "ray").exists() else folder
    if not (place.is_dir() and os.access(place, os.W_OK | os.X_OK)):
        raise InputError(
            f"Ray cannot start: its temporary folder '{place}' cannot be written; set RAY_TMPDIR to another, "
            "such as /tmp"
        )


def _is_utf8(folder: Path) -> bool:
    try:
        os.fsencode(folder).decode()
    except UnicodeDecodeError:
        return False
    return True
