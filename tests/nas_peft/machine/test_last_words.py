"""A shell says what a killed process cannot."""

import subprocess
import sys

import pytest

PROGRAM = """
import os, signal, sys
from nas_peft.machine.last_words import LastWords
with LastWords("start again"):
    {within}
"""


@pytest.mark.parametrize("within", ["os.kill(os.getpid(), signal.SIGKILL)", "os._exit(1)"])
def test_a_process_that_ends_within_is_spoken_for(within: str):
    program = [sys.executable, "-c", PROGRAM.format(within=within)]
    done = subprocess.run(program, capture_output=True, text=True)
    assert done.returncode in (-9, 1)
    assert done.stderr == "start again\n"


@pytest.mark.parametrize("within", ["pass", "sys.exit(3)", "os.kill(0, signal.SIGINT)"])
def test_a_process_that_leaves_needs_none(within: str):
    program = [sys.executable, "-c", PROGRAM.format(within=within)]
    done = subprocess.run(program, capture_output=True, text=True, start_new_session=True)
    assert "start again" not in done.stderr
