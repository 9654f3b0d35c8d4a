"""Table of architectures: worker processes, and resuming."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.architecture_table import main

pytestmark = pytest.mark.thorough

ROOT = Path(__file__).parents[2]


def lines_of(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.read_text().splitlines()]


def test_workers_train_what_one_process_resumes(
    insects: Path, tmp_path: Path, run_program: Callable[..., Any]
) -> None:
    out = tmp_path / "table.jsonl"
    options = [f"--task={insects}", "--limit=1", "--epochs=1", "--device=cpu", f"--out={out}"]
    command = ["-m", "benchmarks.architecture_table", *options, "--seeds=1", "--workers=2"]
    done = run_program(*command, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    first = lines_of(out)
    assert [(line["task"], line["seed"]) for line in first] == [("insects", 0)] * 2
    assert {line["group"] for line in first} == {"spread", "equal"}
    assert main([*options, "--seeds=2"]) == 0
    both = lines_of(out)
    assert both[:2] == first
    assert [line["seed"] for line in both[2:]] == [1, 1]
