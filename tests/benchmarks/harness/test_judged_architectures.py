"""Architectures of the table."""

from __future__ import annotations

from benchmarks.harness.judged_architectures import EQUAL, architectures
from search_spaces import BackboneShape, count_params, load_space


def test_architectures_are_different_members_of_the_space_in_two_groups() -> None:
    shape = BackboneShape.vit(128, depth=8)
    entries = architectures(shape)
    assert [entry.group for entry in entries] == ["spread"] * 18 + ["equal"] * 18
    assert len({entry.architecture for entry in entries}) == 36
    space = load_space("default", 8)
    assert all(entry.architecture in space for entry in entries)
    low, high = EQUAL
    assert all(low <= count_params(entry.architecture, shape) <= high for entry in entries[18:])
    assert entries == architectures(shape)
