"""What the kills hit, what is compared, and how it is counted; the benchmark kills real searches."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from benchmarks.faults import kills
from benchmarks.faults.kills import Ended, Kill, attempt, finished_files, table, tensors

PROGRAM = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", "ray::worker"])
print("started", flush=True)
status = child.wait()
sys.exit(0 if status == -9 else 1)
"""


@pytest.fixture
def said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the program says; it stands for the search, and its child for a worker."""

    def started(words: Sequence[str], said: Path) -> int:
        output = (os.POSIX_SPAWN_OPEN, 1, str(said), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        arguments = [sys.executable, "-c", PROGRAM, *words]
        return os.posix_spawn(sys.executable, arguments, os.environ, file_actions=[output])

    monkeypatch.setattr(kills, "started", started)
    return tmp_path / "said.txt"


def test_a_killed_worker_leaves_the_command_to_end(said: Path):
    assert attempt([], said, "Ray worker", 0.0) == (0, True)
    assert said.read_text() == "started\n"


def test_a_killed_command_leaves_no_process(said: Path):
    assert attempt([], said, "command", 1.0) == (None, True)


def test_work_that_is_written_again_is_noticed(tmp_path: Path):
    file = tmp_path / "stages" / "probe.json"
    file.parent.mkdir()
    file.write_text("{}")
    (tmp_path / "results.json").write_text("{}")
    before = finished_files(tmp_path)
    assert list(before) == ["stages/probe.json"]
    file.write_text("{}")
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
        Kill("command", 3.0, "search", 2, []),
        Kill("Ray head", 9.0, "trainings", 4, ["stages/search.json"]),
    ]
    shown = table([Ended("search", first, True, True), Ended("search", [], True, False)])
    assert [list(column.cells) for column in shown.columns] == [
        ["command", "Ray worker", "Ray head"],
        ["1", "0", "1"],
        *[["0", "0", "0"]] * 3,
        ["1", "0", "0"],
        ["0", "0", "1"],
        ["0", "0", "0"],
        ["0", "0", "1"],
    ]
    assert "1 of 2 runs" in str(shown.caption)


def test_the_stage_is_known_by_the_files(tmp_path: Path):
    assert kills.stage(tmp_path) == "start"
    (tmp_path / "stages").mkdir()
    for name in ("inputs", "probe", "supernet"):
        (tmp_path / "stages" / f"{name}.json").touch()
    assert kills.stage(tmp_path) == "search"
