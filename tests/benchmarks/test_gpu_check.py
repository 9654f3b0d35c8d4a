"""The check of a GPU, tried on a CPU, as on a machine without Ray, Optuna and pydantic."""

import json
from pathlib import Path

import pytest

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


def test_a_machine_without_a_gpu_is_told_so(monkeypatch, capsys):
    from benchmarks.gpu_check import main

    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert main([]) == 2
    assert "no GPU" in capsys.readouterr().err


def test_a_part_that_does_not_exist_is_refused(capsys):
    from benchmarks.gpu_check import main

    assert main(["--parts=steps,speed"]) == 2
    assert "there is no part 'speed'" in capsys.readouterr().err
