"""Names of tasks, and the files that a command line gives for them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from search_spaces.errors import InputError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
NAMES_ARE = "letters, digits, '.', '_' and '-', 64 at most, the first a letter or digit"
"""What `is_task_name` accepts."""


def is_task_name(text: str) -> bool:
    """Whether ``text`` may name a task: it is part of an address and of file names."""
    return _NAME.fullmatch(text) is not None


def named_files(files: Sequence[Path], named: Sequence[str]) -> dict[str, Path]:
    """The files by the names of their tasks: plain ``files``, then ``named`` ones as ``NAME=FILE``.

    A plain file is named after itself, or after its folder if it is called ``subnet``, as all runs call it.
    Raises `InputError` for no file, a malformed name, and two files of one name.
    """
    pairs = [(_name_of(file), file) for file in files]
    for text in named:
        name, equals, file = text.partition("=")
        if not equals or not file:
            raise InputError(f"--task '{text}' names no file; give NAME=FILE")
        pairs.append((name, Path(file)))
    if not pairs:
        raise InputError("no subnet to serve; give a FILE, or --task NAME=FILE")
    found: dict[str, Path] = {}
    for name, path in pairs:
        if not is_task_name(name):
            raise InputError(f"'{name}' is no name of a task ({NAMES_ARE}); give --task NAME={path}")
        if name in found:
            raise InputError(
                f"two tasks are named '{name}': {found[name]} and {path}; give --task NAME={path}"
            )
        found[name] = path
    return found


def _name_of(file: Path) -> str:
    stem = file.name.removesuffix(".safetensors")
    return file.resolve().parent.name if stem == "subnet" else stem
