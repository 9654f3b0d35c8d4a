"""The example's main job finds its searcher by name; that it is a proper one, the conformance suite says."""

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "custom_searcher.py"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("starts=0", "starts is 0; give a whole number from 1 up"),
        ("stops=2", "the searcher 'local' has no option 'stops', it has: starts; give one of these"),
    ],
)
def test_the_main_job_builds_the_searcher_before_it_trains(
    tmp_path: Path, options: str, message: str
) -> None:
    command = [sys.executable, str(EXAMPLE), "--searcher-options", options, "--out", str(tmp_path / "run")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode != 0
    assert done.stderr.rstrip().endswith(f"InputError: {message}")
    assert not (tmp_path / "run").exists()
