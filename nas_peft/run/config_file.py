"""The file ``config.yaml`` of a run folder: the options of the run, with a checksum in its first line."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import yaml

from nas_peft.settings.command_options import RunOptions, SearchOptions
from search_spaces import InputError
from supernet import write_atomically

_CHECKSUM = "# sha256 "


def write_config(file: Path, text: str, options: RunOptions | None = None) -> None:
    """Write a configuration's ``text`` (YAML) atomically, with those ``options`` that are not the defaults.

    The file then holds all that ``nas-peft search --config FILE`` needs to repeat the run but the run folder.
    """
    if options is not None:
        others = options.model_dump(mode="json", exclude_defaults=True, exclude={"out", "dry_run"})
        text += yaml.safe_dump(others, sort_keys=False) if others else ""
    write_atomically(file, f"{_CHECKSUM}{_digest(text)}\n{text}".encode())


def read_config(file: Path) -> dict[str, Any]:
    """The configuration in a file by `write_config`, without the options that no result depends on.

    Files that earlier versions wrote have no checksum and are read without. Raises `InputError` for a file
    that is cut off, was altered, or holds something else.
    """
    try:
        text = file.read_text(encoding="utf-8")
        options = yaml.safe_load(text)
    # A date such as 2001-99-99 raises ValueError, and a text can nest too deeply.
    except (yaml.YAMLError, ValueError, RecursionError):
        text, options = file.read_text(encoding="utf-8", errors="replace"), None
    first, _, rest = text.partition("\n")
    if first.startswith(_CHECKSUM) and first != _CHECKSUM + _digest(rest):
        raise InputError(
            f"'{file}' was altered or cut off since the run wrote it; put the file back, or start anew "
            "with another --out"
        )
    if not isinstance(options, dict):
        raise InputError(
            f"'{file}' is not the configuration of a run; give another --out, or the folder of a run"
        )
    return {name: value for name, value in options.items() if name not in SearchOptions.model_fields}


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
