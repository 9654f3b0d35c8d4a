"""The library example runs and leaves a checkpoint that loads."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from supernet import load_subnet

EXAMPLE = Path(__file__).parents[2] / "examples" / "six_calls.py"


@pytest.mark.thorough
def test_six_calls_leave_a_checkpoint(tmp_path: Path, insects: Path, run_program: Callable[..., Any]) -> None:
    out = tmp_path / "subnet.safetensors"
    short = ["--dataset", insects, "--epochs", "1", "--generations", "2", "--population", "6"]
    done = run_program("-W", "error", EXAMPLE, *short, "--out", out)
    assert done.returncode == 0, done.stderr
    assert "validation accuracy" in done.stdout
    subnet = load_subnet(out)
    assert subnet.classes == ("ant", "bee")
    assert subnet.architecture.kinds
