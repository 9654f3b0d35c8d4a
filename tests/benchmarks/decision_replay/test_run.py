"""The command, from tables to the report."""

import json
from pathlib import Path

import pytest

from benchmarks.decision_replay.run import main


def test_tables_are_replayed_and_reported(
    tables: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.json"
    assert main(["--tunings", str(tables), "--out", str(out)]) == 0
    report = json.loads(out.read_text())
    assert set(report) == {"methods", "exportable methods", "settings", "portfolio"}
    printed = capsys.readouterr().out
    assert "within 0.5 s.e., then loss" in printed
    assert "portfolio: settings, regret" in printed


def test_nothing_to_replay_is_a_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "give --tunings" in capsys.readouterr().err
