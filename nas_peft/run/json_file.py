"""JSON files of a run, which show whether they are as they were written."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from search_spaces.errors import DamagedFile

CHECKSUM = "sha256"
"""Last key of a file: SHA-256 of the text of all that stands before it."""


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write ``content`` and a checksum atomically, without NaN and infinity, which are refused."""
    from supernet import write_atomically  # imports torch, which commands that only read do without

    text = json.dumps({**content, CHECKSUM: _digest(content)}, indent=1, allow_nan=False)
    write_atomically(path, f"{text}\n".encode())


def read_json(path: Path) -> dict[str, Any] | None:
    """The content of a file by `write_json`, or ``None`` if there is none.

    Files that earlier versions wrote have no checksum and are read without. Raises `DamagedFile` for a file
    that is cut off or was altered.
    """
    if not path.exists():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:  # neither JSON nor UTF-8, or nested thousands deep
        raise DamagedFile(path, "it is not whole JSON") from error
    if not isinstance(content, dict):
        raise DamagedFile(path, "it is not a JSON object")
    checksum = content.pop(CHECKSUM, None)
    if checksum is not None and checksum != _digest(content):
        raise DamagedFile(path, "its checksum is another one")
    return content


def first_fault(error: ValidationError) -> str:
    """The first field that does not fit a model, and why, for messages."""
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"]) or "the file"
    return f"{field}: {first['msg'].lower()}"


def _digest(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, indent=1, allow_nan=False).encode()).hexdigest()
