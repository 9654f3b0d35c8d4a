"""Keys of jobs and names of tasks: lines and models are found by them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any


def digest(content: Any) -> str:
    """Digest of JSON-able content, 16 hexadecimal digits; the order of dictionary keys does not matter."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def task_name(spec: str) -> str:
    """Name of a data set in lines and reports: the last part of a folder, or the name itself."""
    return Path(spec).name
