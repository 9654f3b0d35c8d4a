"""The command, from tables to the report."""

import json
from pathlib import Path

import pytest

from benchmarks.decision_replay.half_splits import WAYS
from benchmarks.decision_replay.run import main


def test_tables_are_replayed_and_reported(
    tables: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.json"
    assert main(["--tunings", str(tables), "--out", str(out)]) == 0
    report = json.loads(out.read_text())
    assert set(report) == {"methods", "exportable methods", "settings", "contestants", "portfolio"}
    printed = capsys.readouterr().out
    assert "within 0.5 s.e., then loss" in printed
    assert "portfolio: settings, regret" in printed


def test_nothing_to_replay_is_a_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "give --tunings" in capsys.readouterr().err
    assert main(["--runs", "runs/a", "elsewhere/a"]) == 2
    assert "two folders of one name (a, a)" in capsys.readouterr().err


def test_parts_that_are_not_replayed_stay(tables: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    out.write_text(json.dumps({"half splits": {way: {} for way in WAYS}}))
    assert main(["--tunings", str(tables), "--out", str(out)]) == 0
    assert {"half splits", "methods"} < set(json.loads(out.read_text()))
