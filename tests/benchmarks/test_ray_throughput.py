"""The benchmark of the runner: its sums, one small run with real Ray, and what it says of mistakes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks import ray_throughput

ROOT = Path(__file__).parents[2]


def test_sums_by_hand() -> None:
    found = ray_throughput.results_of(
        alone=100, cold=110, warm=90, scaling={1: 200, 2: 105, 4: 80}, trainings=8
    )
    assert found["overhead"] == pytest.approx(1.1)
    assert found["overhead_without_start"] == pytest.approx(0.9)
    assert found["overhead_goal_met"]
    assert [line["of_linear"] for line in found["scaling"]] == pytest.approx([1, 200 / 210, 200 / 320])
    assert [line["trainings_per_minute"] for line in found["scaling"]] == pytest.approx([2.4, 480 / 105, 6])
    assert not found["scaling_goal_met"]
    assert ray_throughput.results_of(100, 116, 90, {2: 50, 4: 29}, 8)["scaling_goal_met"]
    assert not ray_throughput.results_of(100, 116, 90, {2: 50, 4: 29}, 8)["overhead_goal_met"]


def test_other_losses_are_found() -> None:
    assert ray_throughput._difference([1.0, 2.0001], [1.0, 2.0]) == pytest.approx(5e-5)
    with pytest.raises(ray_throughput.WrongContestant, match="differs by"):
        ray_throughput._difference([1.0, 2.1], [1.0, 2.0])


@pytest.mark.thorough
def test_a_run(insects: Path, tmp_path: Path, run_program: Callable[..., Any]) -> None:
    out = tmp_path / "new" / "throughput.json"
    small = [f"--task={insects}", "--trainings=1", "--epochs=1", "--workers", "1", f"--out={out}"]
    done = run_program("-m", "benchmarks.ray_throughput", *small, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    entry = json.loads(out.read_text())
    assert entry["seeds"] == [0]
    assert entry["versions"]["ray"]
    assert entry["machine"]["processor"]
    assert min(entry["runner_seconds"], entry["runner_seconds_without_start"]) > 0
    assert entry["overhead"] == pytest.approx(entry["runner_seconds"] / entry["one_process_seconds"])
    assert [line["workers"] for line in entry["scaling"]] == [1]
    assert 0 <= entry["largest_difference"] <= ray_throughput.AGREEMENT
    for text in ("runner without its start", "of linear", "one process, all cores"):
        assert text in done.stdout


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--trainings=0"], "--trainings"),
        (["--workers", "0"], "--workers"),
        (["--workers", "4", "--trainings=2"], "give more --trainings"),
        (["--gpus", "1"], "--device cuda"),
        (["--task=digit", "--workers", "1"], "did you mean 'digits'"),
    ],
)
def test_mistakes(options: list[str], named: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "throughput.json"
    assert ray_throughput.main([*options, f"--out={out}"]) == 2
    *_, line = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert named in line
    assert not out.exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_cuda_must_be_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert ray_throughput.main(["--device=cuda"]) == 2
    assert "--device is cuda" in capsys.readouterr().err
