"""The study of class balances: its long tail, its table, and a short run of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from benchmarks.imbalance import long_tail, main


def test_sizes_fall_exponentially_and_nothing_is_chosen_twice() -> None:
    labels = torch.arange(5).repeat_interleave(80)
    rows = long_tail(labels, 16.0, [3, 0, 4, 1, 2], 0)
    counts = torch.bincount(labels[rows])
    assert counts[[3, 0, 4, 1, 2]].tolist() == [80, 40, 20, 10, 5]
    assert len(rows.unique()) == len(rows)
    assert not torch.equal(rows, long_tail(labels, 16.0, [3, 0, 4, 1, 2], 1))


@pytest.mark.thorough
def test_a_short_run_writes_results_and_prints_a_table(
    insects: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "found.json"
    assert main([f"--task={insects}", "--seeds=1", "--epochs=1", "--ratio=3", f"--out={out}"]) == 0
    found = json.loads(out.read_text())["trainings"]
    assert [one["balance"] for one in found] == [
        "none",
        "weighted",
        "sampled",
        "logit-adjusted",
        "head-retrained",
    ]
    assert len({one["val"]["log_loss"] for one in found}) == 5
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 7
    assert lines[-1].startswith("| head-retrained | ")


def test_a_ratio_below_one_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--ratio=0.5"]) == 2
    assert "'0.5' is not a number from 1" in capsys.readouterr().err
