"""Scales of modules by cross-validation: folds that choose for each other, the table, and a short run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks import module_scales
from benchmarks.harness.lines import read_lines
from benchmarks.module_scales import RATES, SCALES, by_setting, chosen, main, table


def line(task: str, fold: int, lr: float, scale: float, right: str, loss: float) -> dict[str, Any]:
    own = {"task": task, "fold": fold, "lr": lr, "scale": scale, "epochs": 4}
    return own | {"right": right, "losses": [loss] * len(right)}


def test_a_fold_is_judged_by_the_rate_that_the_other_chose():
    lines = [
        line("a", 0, 0.01, 1.0, "1111", 0.1),  # best on fold 0, and useless on fold 1
        line("a", 1, 0.01, 1.0, "0000", 2.0),
        line("a", 0, 0.003, 1.0, "1100", 0.5),
        line("a", 1, 0.003, 1.0, "1111", 0.2),
        line("a", 0, 0.01, 4.0, "1111", 0.05),
        line("a", 1, 0.01, 4.0, "1111", 0.05),
    ]
    settings = by_setting(lines)
    of_one = chosen(settings, 1.0)
    assert of_one.hits.tolist() == [1, 1, 0, 0, 0, 0, 0, 0]  # fold 1 chose 0.003 for fold 0, fold 0 0.01
    assert chosen(settings, 4.0).hits.mean() == 1
    assert chosen(settings, None).hits.mean() == 1


def test_the_table_has_all_settings_and_the_gain_on_no_scale():
    right = {1.0: ("10", 1.0), 4.0: ("11", 0.5), 10.0: ("10", 1.0)}
    lines = [
        line(task, fold, lr, scale, *right[scale])
        for task in ("a", "b")
        for fold in (0, 1)
        for scale in SCALES
        for lr in RATES
    ]
    rows = table(lines)
    assert rows[2] == "| 0.01, 1 | 50.0 (1.000) | 50.0 (1.000) |"
    assert "| 4 | 100.0 (0.500) | 100.0 (0.500) | +50.00 ± 0.00 | -0.500 ± 0.000 |" in rows
    assert "| 1 | 50.0 (1.000) | 50.0 (1.000) | +0.00 ± 0.00 | +0.000 ± 0.000 |" in rows


@pytest.mark.thorough
def test_a_short_run_goes_on(insects: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    monkeypatch.setattr(module_scales, "RATES", (1e-2,))
    file = tmp_path / "lines.jsonl"
    options = [f"--task={insects}", "--epochs=1", f"--lines={file}"]
    assert main(options) == 0
    written = read_lines(file)
    assert [(one["fold"], one["scale"]) for one in written] == [(f, s) for f in (0, 1) for s in SCALES]
    assert main(options) == 0
    assert read_lines(file) == written
    assert "| 0.01, 4 |" in capsys.readouterr().out
    assert main([*options, "--scored=1"]) == 2
