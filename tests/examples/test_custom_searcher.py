"""The example's main job finds its searcher by name; that it is a proper one, the conformance suite says."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sweep import sweep

EXAMPLES = Path(__file__).parents[2] / "examples"
EXAMPLE = EXAMPLES / "custom_searcher.py"


@pytest.mark.parametrize("name", sweep(["six_calls", "custom_module", "custom_searcher"], 1))
def test_a_mistake_is_one_line(tmp_path: Path, name: str, run_program: Callable[..., Any]) -> None:
    done = run_program(EXAMPLES / f"{name}.py", "--dataset", "nosuch", "--out", tmp_path / "out")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: unknown data set 'nosuch'")


@pytest.mark.parametrize(
    ("options", "message"),
    sweep(
        [
            ("starts=0", "starts is 0; give a whole number from 1 up"),
            ("stops=2", "the searcher 'local' has no option 'stops', it has: starts; give one of these"),
        ],
        1,
    ),
)
def test_the_main_job_builds_the_searcher_before_it_trains(
    tmp_path: Path, insects: Path, options: str, message: str, run_program: Callable[..., Any]
) -> None:
    wrong = ["--dataset", insects, "--searcher-options", options]
    done = run_program(EXAMPLE, *wrong, "--out", tmp_path / "run")
    assert (done.returncode, done.stderr) == (2, f"error: {message}\n")
    assert not (tmp_path / "run").exists()
