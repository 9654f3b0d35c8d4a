"""The plain command beside the small VTAB: leads, verdicts, and the best single method by hindsight."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.beside_mini_vtab import HINDSIGHT, compared, main, method_accuracies, plain_accuracies, table


def plain_line(task: str, test: float, time: str = "auto") -> dict:
    return {"task": task, "time": time, "exported": "a", "rows": {"a": {"test": test}, "b": {"test": 0.0}}}


def test_exported_rows_of_one_time_count():
    lines = [plain_line("x", 0.5), plain_line("x", 0.75), plain_line("x", 0.1, "5m"), plain_line("y", 0.25)]
    assert plain_accuracies({"lines": lines}, "auto") == {"x": [50, 75], "y": [25]}


def test_hindsight_takes_the_best_single_method_of_each_task():
    def of(lora: float, ssf: float, full: float) -> dict:
        rows = {"LoRA": lora, "SSF": ssf, "full fine-tuning": full}
        return {"methods": {method: {"test_accuracies": [value] * 2} for method, value in rows.items()}}

    found = method_accuracies({"x": of(10, 20, 90), "y": of(40, 30, 90)})
    assert found[HINDSIGHT] == {"x": [20, 20], "y": [40, 40]}
    assert found["full fine-tuning"]["x"] == [90, 90]


def test_a_difference_within_the_noise_over_seeds_is_a_tie():
    plain = {"ahead": [90, 91, 92], "tied": [90, 91, 92], "behind": [90, 91, 92], "unknown": [1, 2, 3]}
    other = {"ahead": [50, 51, 52], "tied": [91, 92, 93], "behind": [97, 98, 99]}
    leads, verdicts = compared(plain, other)
    assert leads == {"ahead": 40, "tied": -1, "behind": -7}
    assert verdicts == {"ahead": "won", "tied": "tied", "behind": "lost"}
    shown = table(plain, {"m": other})
    assert shown[0].startswith("| method | ahead | tied | behind | mean |")  # a task of both alone
    assert shown[-1] == "| m | **+40.0** | -1.0 | **-7.0** | 80.3 | +10.7 ± 14.8 | 1/1/1 |"


def test_reports_are_read_and_a_missing_one_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    plain, vtab = tmp_path / "plain.json", tmp_path / "vtab.json"
    options = [f"--plain={plain}", f"--mini-vtab={vtab}"]
    assert main(options) == 2
    assert f"there is no report '{plain}'" in capsys.readouterr().err
    plain.write_text(json.dumps({"lines": [plain_line(t, 0.5 + i / 100) for t in "xy" for i in (0, 1)]}))
    of = {"methods": {"LoRA": {"test_accuracies": [40, 42]}}}
    vtab.write_text(json.dumps({"tasks": {"x": of, "y": of}}))
    assert main(options) == 0
    assert "| LoRA | " in capsys.readouterr().out
    assert main([*options, "--time=1h"]) == 2
    assert "has no run with --time 1h" in capsys.readouterr().err
