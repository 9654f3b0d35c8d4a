"""Paths that begin with the home folder of a user, ``~`` or ``~name``."""

from __future__ import annotations

import os
from pathlib import Path

from search_spaces.errors import InputError


def expanded(path: str | Path) -> Path:
    """The path with the home folder in place of ``~``.

    A file may itself have a name such as ``~$letter.png``. Raises `InputError` for a path that does not exist
    and begins with the home folder of an unknown user.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        if os.path.lexists(path):
            return Path(path)
        raise InputError(
            f"the home folder in '{path}' is not known on this machine; give the whole path"
        ) from error
