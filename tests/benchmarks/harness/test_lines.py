"""Lines that a killed study resumes from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.harness.lines import resumed_lines
from search_spaces import InputError


def test_a_cut_line_is_left_out_and_another_setup_refused(tmp_path: Path) -> None:
    out = tmp_path / "table.jsonl"
    setup: dict[str, Any] = {"results": {"lr": 1}, "machine": "here"}
    assert resumed_lines(out, setup) == []
    out.write_text('{"a": 1}\n{"a": 2}\n{"a"')
    elsewhere = setup | {"machine": "there"}
    assert resumed_lines(out, elsewhere) == [{"a": 1}, {"a": 2}]
    assert out.read_text() == '{"a": 1}\n{"a": 2}\n'
    assert json.loads(out.with_suffix(".json").read_text()) == setup
    with pytest.raises(InputError, match="another setup"):
        resumed_lines(out, {"results": {"lr": 2}})
