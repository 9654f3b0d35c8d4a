"""Systems that nas-peft runs on."""

from __future__ import annotations

from importlib.util import find_spec

from search_spaces.errors import InputError


def require_system() -> None:
    """Raise `InputError` on a system without the file locks that keep two processes out of a run folder."""
    if find_spec("fcntl") is None:
        raise InputError(
            "searching and training need Linux or macOS, and this system has no module fcntl; on Windows use "
            "the Linux subsystem (WSL), or only predict, evaluate and export"
        )
