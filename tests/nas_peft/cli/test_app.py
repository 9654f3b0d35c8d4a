"""The entry point, as the installed script calls it."""

import subprocess
import sys


def test_debug_shows_the_traceback_and_no_debug_does_not():
    wrong = ["search", "--dataset", "digits", "--seeds", "0"]
    command = [sys.executable, "-c", "from nas_peft.cli.app import main; main()", *wrong]
    plain, debug = (
        subprocess.run([*command, *more], capture_output=True, text=True) for more in ([], ["--debug"])
    )
    assert (plain.returncode, plain.stdout) == (2, "")
    message = "error: seeds is 0: input should be greater than or equal to 1"
    assert plain.stderr.splitlines() == [message]
    assert debug.returncode != 0
    assert "Traceback (most recent call last)" in debug.stderr
    assert "InputError: seeds is 0" in debug.stderr
