"""JSON-lines files that a killed study resumes from: one line for each finished job."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from search_spaces import InputError
from supernet import write_atomically


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Lines of a file, without a last line that a kill cut short; empty if there is no file."""
    if not path.exists():
        return []
    text = path.read_text(encoding="utf-8")
    return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]


def rewrite_lines(path: Path, lines: Sequence[Mapping[str, Any]]) -> None:
    """Replace the file by these lines, which drops a last line that was cut short."""
    write_atomically(path, "".join(json.dumps(line) + "\n" for line in lines).encode())


def append_line(path: Path, line: Mapping[str, Any]) -> None:
    """Append one finished job."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def resumed_lines(out: Path, setup: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Lines of ``out``, which is then ready for more; ``setup`` goes to the ``.json`` file beside it.

    Raises `InputError` if the lines come from a setup with other ``results``.
    """
    beside = out.with_suffix(".json")
    out.parent.mkdir(parents=True, exist_ok=True)
    if beside.exists():
        found = json.loads(beside.read_text(encoding="utf-8"))
        if found["results"] != setup["results"]:
            raise InputError(f"'{out}' holds trainings of another setup (see '{beside}'); give another --out")
    else:
        write_atomically(beside, (json.dumps(setup, indent=2) + "\n").encode())
    lines = read_lines(out)
    rewrite_lines(out, lines)
    return lines
