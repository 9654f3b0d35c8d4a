"""The benchmark of latency tables: what it compares, what it writes, what it says of mistakes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import benchmarks.latency_table as script
from search_spaces import LatencyTable, load_space
from supernet import random_backbone


def test_errors_are_relative_to_the_whole_and_to_what_modules_add():
    found = script.compared(np.array([11.0, 12.0, 15.0]), np.array([12.0, 12.5, 14.0]), 10.0)
    assert found["median_relative_error"] == pytest.approx(1 / 14)
    assert found["largest_relative_error"] == pytest.approx(1 / 12)
    assert found["median_relative_error_of_added"] == pytest.approx(0.25)
    assert found["kendall_tau"] == 1


def test_subnets_are_drawn_from_the_space_and_from_the_seed():
    backbone = random_backbone("vit_micro_patch8_32", 0)
    space = load_space("default", backbone.depth)
    drawn = script.random_subnets(space, backbone, 6, 3)
    assert len(drawn) == 6
    assert all(a in space for a in drawn)
    assert drawn == script.random_subnets(space, backbone, 6, 3)
    assert drawn != script.random_subnets(space, backbone, 6, 4)


@pytest.mark.thorough
def test_it_writes_what_it_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    space = tmp_path / "space.yaml"
    space.write_text("name: one\nkinds: {lora_rank: {sizes: [0, 2]}}\n")
    out = tmp_path / "new" / "table.json"
    options = ["--space", str(space), "--subnets=3", "--batch-size=1", "--seconds=0", "--device=cpu"]
    assert script.main([*options, f"--out={out}"]) == 0
    (found,) = json.loads(out.read_text())["measurements"]
    table = LatencyTable.from_dict(found["table"])
    assert (found["batch_size"], found["rounds"], len(found["subnets"])) == (1, 7, 3)
    assert all(s["predicted"] >= table.base and s["measured"] > 0 for s in found["subnets"])
    assert "drift" in capsys.readouterr().out


@pytest.mark.parametrize("options", [["--subnets=1"], ["--batch-size=0"], ["--device=tpu"], ["--out=."]])
def test_mistakes_are_one_line(options: list[str], capsys: pytest.CaptureFixture[str]):
    assert script.main(options) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
