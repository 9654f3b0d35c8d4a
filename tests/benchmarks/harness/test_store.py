"""Store that two studies share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.thorough


def lines_of(store: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (store / "lines.jsonl").read_text().splitlines()]


def test_studies_share_searches(compared: dict[str, Any], store: Path) -> None:
    lines = lines_of(store)
    assert len({line["key"] for line in lines}) == len(lines)
    defaults = [x for x in lines if x["kind"] == "search" and len(x["plan"]["ways"]) == 3]
    assert [x["seed"] for x in defaults] == [0, 1]
