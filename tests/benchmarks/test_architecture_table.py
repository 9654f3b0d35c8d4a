"""The table of architectures: what is in it, and that a killed run goes on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import architecture_table
import pytest

from search_spaces import BackboneShape, InputError, count_params, load_space


def test_architectures_are_different_members_of_the_space_in_two_groups() -> None:
    shape = BackboneShape.vit(128, depth=8)
    entries = architecture_table.architectures(shape)
    assert [entry.group for entry in entries] == ["spread"] * 18 + ["equal"] * 18
    assert len({entry.architecture for entry in entries}) == 36
    space = load_space("default", 8)
    assert all(entry.architecture in space for entry in entries)
    low, high = architecture_table.EQUAL
    assert all(low <= count_params(entry.architecture, shape) <= high for entry in entries[18:])
    assert entries == architecture_table.architectures(shape)


def test_a_cut_line_is_left_out_and_another_setup_refused(tmp_path: Path) -> None:
    out = tmp_path / "table.jsonl"
    setup: dict[str, Any] = {"results": {"lr": 1}, "machine": "here"}
    assert architecture_table.lines_to_go_on_with(out, setup) == []
    out.write_text('{"a": 1}\n{"a": 2}\n{"a"')
    elsewhere = setup | {"machine": "there"}
    assert architecture_table.lines_to_go_on_with(out, elsewhere) == [{"a": 1}, {"a": 2}]
    assert out.read_text() == '{"a": 1}\n{"a": 2}\n'
    assert json.loads(out.with_suffix(".json").read_text()) == setup
    with pytest.raises(InputError, match="another setup"):
        architecture_table.lines_to_go_on_with(out, {"results": {"lr": 2}})
