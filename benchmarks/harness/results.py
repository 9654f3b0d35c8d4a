"""Result files: where the published ones are, and how each is written."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from supernet import write_atomically

RESULTS = Path(__file__).parents[1] / "results"
"""Folder of the published results, the default of every ``--out``."""


def write_result(path: Path, content: Mapping[str, Any], indent: int) -> None:
    """Write a result as JSON, with the folders above it, and say so on standard error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, (json.dumps(content, indent=indent) + "\n").encode())
    print(f"written to {path}", file=sys.stderr)
