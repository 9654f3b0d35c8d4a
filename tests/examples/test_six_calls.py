"""The library example runs and leaves a checkpoint that loads."""

import subprocess
import sys
from pathlib import Path

from supernet import load_subnet

EXAMPLE = Path(__file__).parents[2] / "examples" / "six_calls.py"


def test_six_calls_leave_a_checkpoint(tmp_path: Path) -> None:
    out = tmp_path / "subnet.safetensors"
    command = [sys.executable, "-W", "error", str(EXAMPLE), "--epochs", "1", "--generations", "2"]
    done = subprocess.run([*command, "--population", "6", "--out", str(out)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "validation accuracy" in done.stdout
    subnet = load_subnet(out)
    assert len(subnet.classes) == 10
    assert subnet.architecture.kinds
