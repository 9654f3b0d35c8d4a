"""A terminal that goes away while a command works on."""

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import sys
from pathlib import Path
from nas_peft.cli.lost_terminal import outlive_terminal
if sys.argv[2] == "outlive":
    outlive_terminal()
print("begun ►", flush=True)
sys.stdin.readline()  # until the terminal has gone
for number in range(2000):
    print("line", number)
    print("progress", number, file=sys.stderr)
sys.stdout.flush()
Path(sys.argv[1]).write_text(f"{sys.stdout.isatty()} {sys.stdout.encoding}")
"""


@pytest.mark.parametrize("way", ["outlive", "plain"])
def test_the_work_goes_on_without_the_terminal(tmp_path: Path, way: str):
    """Without the change the first line ends the command: the test can fail."""
    ours, theirs = pty.openpty()
    done = tmp_path / "done"
    command = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(done), way],
        stdin=subprocess.PIPE,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
        env=os.environ | {"PYTHONIOENCODING": "utf-8"},
    )
    os.close(theirs)
    shown = b""
    while "begun ►".encode() not in shown:
        shown += os.read(ours, 1000)
    os.close(ours)
    command.communicate(b"\n", timeout=60)
    if way == "plain":
        assert not done.exists()
        assert command.returncode != 0
    else:
        assert done.read_text() == "False utf-8"
        assert command.returncode == 0


def test_outputs_that_are_no_terminal_stay():
    script = (
        "import sys; before = sys.stdout, sys.stderr; "
        "from nas_peft.cli.lost_terminal import outlive_terminal; outlive_terminal(); "
        "print((sys.stdout, sys.stderr) == before)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"
