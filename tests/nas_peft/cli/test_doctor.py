"""``nas-peft doctor``: a line for each check, and the exit status."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from nas_peft.cli.app import app

pytestmark = pytest.mark.slow


def test_a_sound_machine_and_a_faulty_one(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_TMPDIR", "/tmp")
    sound = CliRunner().invoke(app, ["doctor", "--no-ray", "--json"])
    faults = [check for check in json.loads(sound.stdout) if check["fine"] is False]
    assert sound.exit_code == (1 if faults else 0)
    assert "ray start" not in {check["name"] for check in faults}
    monkeypatch.setenv("RAY_TMPDIR", f"/tmp/{'long' * 20}")
    faulty = CliRunner().invoke(app, ["doctor", "--no-ray"], env={"COLUMNS": "80"})
    assert faulty.exit_code == 1
    (ray,) = (line for line in faulty.stdout.splitlines() if line.startswith("NO ray start "))
    assert "starts on this machine" in ray
    assert "set RAY_TMPDIR to a shorter one" in " ".join(faulty.stdout.split())
