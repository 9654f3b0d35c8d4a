"""Several processes: what they are given, what comes back, and that none outlives the one that asked."""

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nas_peft.machine.process_group import require_devices
from search_spaces import InputError

pytestmark = pytest.mark.slow

PROGRAM = Path(__file__).with_name("work_together.py")
LIMIT = 300  # seconds; about 15 on two idle cores


def run(*what: str) -> tuple[int, str, str]:
    """Exit status and output. It ends when all processes have ended that can still write to the output."""
    process = subprocess.Popen(
        [sys.executable, str(PROGRAM), *what], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        output, errors = process.communicate(timeout=LIMIT)
    finally:
        process.kill()
    return process.returncode, output, errors


@pytest.fixture(scope="module")
def lines(run_program: Callable[..., Any]) -> list[str]:
    """What came of three pieces of work, one after the other."""
    done = run_program(PROGRAM, "add_up", "one_user_error", "one_bug")
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.thorough
def test_each_does_its_part_and_the_first_one_is_heard(lines: list[str]):
    assert lines[0] == "{'sum': 3.0, 'threads': 1, 'rank': 0} [0, 1, 2]"


@pytest.mark.thorough
def test_a_user_s_error_of_one_process_is_raised_as_it_is(lines: list[str]):
    assert lines[1] == "Strange False mend it"


@pytest.mark.thorough
def test_another_error_of_one_process_is_shown(lines: list[str]):
    assert lines[2] == "RuntimeError True False"


@pytest.mark.thorough
def test_all_end_when_the_one_that_asked_is_killed():
    status, output, _ = run("wait")
    assert (status, output) == (-signal.SIGKILL, "")


UNGUARDED = """
from nas_peft.machine.process_group import require_main_guard, run_together
from search_spaces import InputError

def work(device, on_step):
    return 1

require_main_guard()  # as a search begins
try:
    run_together(work, 2, "cpu", print)
except InputError as error:
    print(error)
"""


@pytest.mark.thorough
def test_a_script_without_a_guard_is_told_so(tmp_path: Path, run_program: Callable[..., Any]):
    script = tmp_path / "mine.py"
    script.write_text(UNGUARDED)
    done = run_program(script)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert 'put the calls of the script under if __name__ == "__main__":' in done.stdout
    assert len(done.stdout.splitlines()) == 1


def test_each_process_needs_a_gpu_of_its_own():
    require_devices(1000, "cpu")
    with pytest.raises(
        InputError, match=r"data_parallel is 1000, but torch finds \d+ CUDA GPUs; give at most"
    ):
        require_devices(1000, "cuda")
