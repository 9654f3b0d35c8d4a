"""Jobs of the study of the search, and mistakes in its command line."""

from __future__ import annotations

from pathlib import Path

import pytest

import benchmarks.search_study.study as search_study
from benchmarks.harness.search_plan import Range, SearchPlan
from benchmarks.search_study.run import main
from search_spaces import count_params
from supernet import create_backbone


def test_uniform_mixes_have_one_size_of_each_kind() -> None:
    backbone = create_backbone("vit_micro_patch8_32")
    where = Range.of(SearchPlan(), backbone.shape, backbone.params)
    mixes = search_study.uniform_mixes(where)
    assert len(mixes) == search_study.UNIFORM
    for a in mixes:
        assert all(len(set(a[kind])) == 1 and a[kind][0] > 0 for kind in a.kinds)
        assert count_params(a, backbone.shape) <= where.limit
    assert [count_params(a, backbone.shape) for a in mixes] == sorted(
        count_params(a, backbone.shape) for a in mixes
    )


def test_mistakes_are_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["--task=digits", "--seeds=0", f"--store={tmp_path}"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: argument --seeds: '0' is not a whole number from 1")
