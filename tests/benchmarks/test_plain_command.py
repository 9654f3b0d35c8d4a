"""The study of the plain command: runs that end are read, and every tested row has its numbers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.plain_command import CHOSEN, PORTFOLIO, main, summary, table
from nas_peft.planning import levels, plan

LEVEL = {
    "epochs": (1,),
    "supernet_epochs": (1,),
    "generations": 1,
    "population": 4,
    "retrain": 1,
    "singles": ("ssf",),
    "baselines": ("linear", "full"),
}


@pytest.mark.thorough
@pytest.mark.usefixtures("ray_address")
def test_a_line_for_each_run_which_is_read_again(
    insects: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
):
    monkeypatch.setattr(levels, "IMAGES", 1)  # no more epochs for few images
    monkeypatch.setattr(plan, "LEVELS", (LEVEL,))
    out = tmp_path / "report.json"
    options = [
        f"--task={insects}",
        "--time=1h",
        "--seeds=1",
        f"--runs={tmp_path}/runs",
        f"--out={out}",
        "--device=cpu",
    ]
    assert main(options) == 0
    first = json.loads(out.read_text())
    (line,) = first["lines"]
    assert (line["task"], line["time"], line["seed"], line["level"]) == ("insects", "1h", 0, 1)
    assert line["exported"] in line["rows"]
    assert line["rows"][line["portfolio"]]["group"] == "single"
    assert {row["group"] for row in line["rows"].values()} == {"searched", "single", "baseline"}
    assert line["seconds"] > 0
    assert f"{100 * line['rows'][line['exported']]['test']:.1f}" in capsys.readouterr().out
    results = next((tmp_path / "runs").glob("*/results.json"))
    written = results.stat().st_mtime_ns
    assert main(options) == 0
    assert results.stat().st_mtime_ns == written
    assert json.loads(out.read_text())["lines"] == first["lines"]


def line(task: str, seed: int, ours: float, single: float, full: float) -> dict:
    rows = {
        "a": {"label": "searched subnet", "group": "searched", "params": 10, "test": ours},
        "lora": {"label": "LoRA", "group": "single", "params": 20, "test": single},
        "full": {"label": "full fine-tuning", "group": "baseline", "params": 99, "test": full},
    }
    for row in rows.values():
        row["mean"] = False
    own = {"task": task, "time": "5m", "seed": seed, "seconds": 100, "planned_seconds": 90}
    return own | {"exported": "a", "chosen": "a", "portfolio": "lora", "rows": rows}


def test_leads_are_paired_by_run():
    (found,) = summary([line("t", 0, 0.9, 0.9, 0.8), line("t", 1, 0.8, 0.7, 0.6)])
    lead, error = found["rivals"]["full fine-tuning"]["lead"]
    assert (lead, error) == pytest.approx((0.15, 0.05))
    assert found["rivals"]["searched subnet"]["lead"] == (0, 0)
    assert found["rivals"][PORTFOLIO] == found["rivals"]["LoRA"]
    (row,) = table([found])[2:]
    cells = "| 85.0 (+0.0 ± 0.0) | 80.0 (+5.0 ± 5.0) | 70.0 (+15.0 ± 5.0) | 80.0 (+5.0 ± 5.0) |"
    assert row == "| t | 5m | 2 | 100 (90) | 10 | 85.0 | 85.0 (+0.0 ± 0.0) " + cells


def test_a_mean_is_ahead_of_the_training_that_was_chosen_and_single_trainings_are_compared_with_that():
    own = line("t", 0, 0.8, 0.7, 0.6)
    mean = {
        "label": "searched subnet, mean of 3",
        "group": "searched",
        "params": 10,
        "test": 0.85,
        "mean": True,
    }
    own["rows"]["a-mean"] = mean
    (found,) = summary([own | {"exported": "a-mean"}])
    leads = {label: rival["lead"][0] for label, rival in found["rivals"].items()}
    expected = {CHOSEN: 0.05, "searched subnet": 0, "LoRA": 0.1, "full fine-tuning": 0.25, PORTFOLIO: 0.1}
    assert leads == pytest.approx(expected)
    assert found["test"] == 0.85


def test_the_last_line_has_means_over_tasks():
    found = summary([line("t", 0, 0.9, 0.9, 0.8), line("u", 0, 0.5, 0.4, 0.6)])
    cells = "| 70.0 (+0.0 ± 0.0) | 65.0 (+5.0 ± 5.0) | 70.0 (+0.0 ± 10.0) | 65.0 (+5.0 ± 5.0) |"
    start = "| mean of 2 tasks | 5m | 2 | 100 (90) | 10 | 70.0 | 70.0 (+0.0 ± 0.0) "
    assert table(found)[-1] == start + cells
