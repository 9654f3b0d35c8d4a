"""What the kills hit, what is compared, and how it is counted; the benchmark kills real searches."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from benchmarks.faults import kills
from benchmarks.faults.compared_runs import tensors
from benchmarks.faults.kills import (
    ON_RAY,
    STAGES,
    VICTIMS,
    Attempt,
    Ended,
    Kill,
    Moment,
    finished_files,
    plan,
    stage,
    table,
)

PROGRAM = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], executable=sys.argv[1])
print("started", flush=True)
status = child.wait()
sys.exit(0 if status == -9 else 1)
"""


@pytest.fixture
def said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the program says; it stands for the search, and its child for a worker or Ray's head."""

    def started(words: Sequence[str], said: Path) -> int:
        program = PROGRAM.replace("[sys.executable,", f"[{words[0]!r},").replace(
            "sys.argv[1]", "sys.executable"
        )
        output = (os.POSIX_SPAWN_OPEN, 1, str(said), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        arguments = [sys.executable, "-c", program]
        return os.posix_spawn(sys.executable, arguments, os.environ, file_actions=[output])

    monkeypatch.setattr(kills, "started", started)
    return tmp_path / "said.txt"


def attempt(said: Path, victim: str, child: str) -> tuple[Attempt, list[Moment]]:
    found = Attempt(said.parent, ["start", "test"], {"start": 0.0, "test": 0.0}, [])
    moments = [Moment(victim, "start", 0.5)]
    found.carry_out([child], said, moments, np.random.default_rng(0))
    return found, moments


def test_a_killed_worker_leaves_the_command_to_end(said: Path):
    found, left = attempt(said, "Ray worker", "ray::_worker")
    assert (found.status, found.kills, left) == (0, [("Ray worker", "start", 0)], [])
    assert said.read_text() == "started\n"


@pytest.mark.parametrize(
    ("victim", "child"), [("command", "x"), ("Ray head", "/lib/raylet"), ("Ray head", "ray::DashboardAgent")]
)
def test_a_start_that_was_killed_has_no_status(said: Path, victim: str, child: str):
    found, left = attempt(said, victim, child)
    if victim == "command":
        assert found.status is None
    assert [kill[0] for kill in found.kills] == [victim]
    assert left == []


def test_each_stage_is_hit_by_each_victim_that_it_has():
    moments = plan("search on Ray", np.random.default_rng(0), list(STAGES))
    assert {moment.stage for moment in moments} == set(STAGES)
    for name in ON_RAY:
        assert {moment.victim for moment in moments if moment.stage == name} == set(kills.VICTIMS)
    assert {moment.victim for moment in plan("search", np.random.default_rng(0), list(STAGES))} == {"command"}
    chosen = plan("search on Ray", np.random.default_rng(0), ["final models"])
    assert {(moment.victim, moment.stage) for moment in chosen} == {(v, "final models") for v in VICTIMS}
    assert plan("search", np.random.default_rng(0), ["final models"]) == []
    places = [list(STAGES).index(moment.stage) for moment in moments]
    assert places == sorted(places)


def test_work_that_is_written_again_is_noticed(tmp_path: Path):
    file = tmp_path / "stages" / "probe.json"
    file.parent.mkdir()
    file.write_text("{}")
    (tmp_path / "results.json").write_text("{}")
    before = finished_files(tmp_path)
    assert list(before) == ["stages/probe.json"]
    os.utime(file, ns=(1, 1))
    assert finished_files(tmp_path) != before


def test_tensors_are_compared_and_headers_are_not(tmp_path: Path):
    file = tmp_path / "supernet.safetensors"
    save_file({"a": torch.ones(2)}, file, metadata={"seconds": "1"})
    before = tensors(tmp_path)
    save_file({"a": torch.ones(2)}, file, metadata={"seconds": "2"})
    assert tensors(tmp_path) == before
    save_file({"a": torch.zeros(2)}, file)
    assert tensors(tmp_path) != before


def test_the_table_counts_kills_and_repetitions():
    first = [
        Kill("command", "search", 2, []),
        Kill("Ray head", "other trainings", 4, ["stages/search.json"]),
    ]
    shown = table(
        [Ended("search", first, 3, 0, True, True, True), Ended("search", [], 1, 0, True, False, True)]
    )
    rows = dict(
        zip(shown.columns[0].cells, zip(*(c.cells for c in shown.columns[1:]), strict=True), strict=True)
    )
    assert rows["search"] == ("1", "0", "0", "0")
    assert rows["other trainings"] == ("0", "0", "1", "1")
    assert rows["all"] == ("1", "0", "1", "1")
    assert "1 of 2 runs" in str(shown.caption)


def test_the_stage_is_known_by_the_files(tmp_path: Path):
    assert stage(tmp_path, list(STAGES)) == "start"
    (tmp_path / "stages").mkdir()
    for name in ("inputs", "probe", "supernet"):
        (tmp_path / "stages" / f"{name}.json").touch()
    assert stage(tmp_path, list(STAGES)) == "search"
