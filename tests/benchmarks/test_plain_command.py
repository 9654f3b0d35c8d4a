"""The study of the plain command: runs that end are read, and every tested row has its numbers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.plain_command import main, summary, table
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


def test_leads_are_paired_by_run():
    def line(seed: int, ours: float, full: float) -> dict:
        rows = {
            "a": {"label": "searched subnet", "group": "searched", "params": 10, "test": ours},
            "full": {"label": "full fine-tuning", "group": "baseline", "params": 99, "test": full},
        }
        own = {
            "task": "t",
            "time": "5m",
            "seed": seed,
            "seconds": 100,
            "planned_seconds": 90,
            "exported": "a",
        }
        return own | {"rows": rows}

    (found,) = summary([line(0, 0.9, 0.8), line(1, 0.8, 0.6)])
    lead, error = found["rivals"]["full fine-tuning"]["lead"]
    assert (lead, error) == pytest.approx((0.15, 0.05))
    assert found["rivals"]["searched subnet"]["lead"] == (0, 0)
    assert "| t | 5m | 2 | 100 (90) | 10 | 85.0 | 85.0 (+0.0 ± 0.0) | 70.0 (+15.0 ± 5.0) |" in table([found])
