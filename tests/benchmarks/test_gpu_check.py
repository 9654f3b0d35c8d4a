"""The check of a GPU, tried on a CPU, as on a machine without Ray, Optuna and pydantic."""

import json
from pathlib import Path

import pytest
from simulated_gpu import simulated_gpu

from benchmarks.gpu_check import gpu_tests, main

ROOT = Path(__file__).parents[2]
WITHOUT = """
import sys
for name in ("ray", "optuna", "pydantic"):
    sys.modules[name] = None
from benchmarks.gpu_check import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.thorough
def test_it_needs_no_ray_and_writes_every_goal_with_its_seconds(tmp_path, run_program):
    out = tmp_path / "check.json"
    done = run_program("-c", WITHOUT, "--device", "cpu", "--tiny", "--out", out, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    found = json.loads(out.read_text())
    assert [(g["contestant"], g["goal"]) for g in found["goals"]] == [
        ("supernet-10", 0.95),
        ("supernet-per-image-10", 0.9),
        ("eval-supernet-10", 0.95),
        ("eval-supernet-per-image-10", 0.95),
        ("scoring", 0.9),
        ("packed trainings", 3.0),
    ]
    for goal in found["goals"]:
        assert goal["met"] == (goal["measured"] >= goal["goal"])
        assert all(len(seconds) == 2 and min(seconds) > 0 for seconds in goal["seconds"].values())
    assert (found["device"], found["tiny"], found["tests"]) == ("cpu", True, None)
    assert any("ray, optuna, pydantic" in line for line in found["left_out"])
    assert found["parts"] == ["steps", "scoring", "packed", "tests"]

    again = run_program(
        "-c", WITHOUT, "--device", "cpu", "--tiny", "--parts", "packed", "--out", out, cwd=ROOT
    )
    assert again.returncode == 0, again.stderr
    second = json.loads(out.read_text())
    assert second["goals"][:5] == found["goals"][:5]
    assert second["goals"][5]["seconds"] != found["goals"][5]["seconds"]
    assert second["parts"] == found["parts"]
    out.write_text(json.dumps(second | {"batch": 3}))
    other = run_program("-c", WITHOUT, "--device", "cpu", "--tiny", "--parts=packed", "--out", out, cwd=ROOT)
    assert other.returncode == 2
    assert "of another check" in other.stderr


@pytest.mark.slow
def test_its_measurements_run_on_a_gpu(monkeypatch, tmp_path):
    """On a simulated one, whose tests come from another process and are none."""
    out = tmp_path / "check.json"
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    # which asks the driver
    monkeypatch.setattr("torch.optim.Optimizer._accelerator_graph_capture_health_check", lambda self: None)
    with simulated_gpu(monkeypatch):
        assert main(["--tiny", "--parts=steps,scoring,packed", "--out", str(out)]) == 0
    found = json.loads(out.read_text())
    assert (found["device"], found["precision"]) == ("simulated GPU", "bf16")
    assert len(found["goals"]) == 6
    assert "tests: not run yet" in found["left_out"]


@pytest.mark.thorough
def test_tests_of_a_gpu_that_take_too_long_are_ended_and_what_they_said_is_kept(monkeypatch, tmp_path):
    (tmp_path / "test_long.py").write_text(
        "import pytest, time\n"
        "pytestmark = pytest.mark.gpu\n"
        "def test_short(): pass\n"
        "def test_long(): time.sleep(60)\n"
    )
    monkeypatch.setattr("benchmarks.gpu_check.TESTS", tmp_path)
    found = gpu_tests(seconds=8.0)
    assert found["exit_status"] is None
    assert any("test_short PASSED" in line for line in found["output"])


def test_a_machine_without_a_gpu_is_told_so(monkeypatch, capsys):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert main([]) == 2
    assert "no GPU" in capsys.readouterr().err


def test_a_part_that_does_not_exist_is_refused(capsys):
    assert main(["--parts=steps,speed"]) == 2
    assert "there is no part 'speed'" in capsys.readouterr().err
