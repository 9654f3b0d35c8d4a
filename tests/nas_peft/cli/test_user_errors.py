"""Mistakes as one line and exit status 2; everything else keeps its traceback."""

import errno
import io
import os
import signal
from contextlib import suppress

import pytest
import typer

from nas_peft.cli.stop_signals import Stopped
from nas_peft.cli.user_errors import user_errors
from search_spaces import InputError


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (InputError("size is 0;\n  give 1 or more"), "error: size is 0; give 1 or more\n"),
        (
            OSError(errno.ENOSPC, "No space left", "run/x"),
            "error: 'run/x': no space left on the disk; "
            "free some, and start the same command again to go on\n",
        ),
        (OSError(errno.EROFS, "Read-only"), "error: the file system is read-only; give another path\n"),
    ],
)
def test_a_mistake_is_one_line(error: Exception, line: str, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(typer.Exit) as caught, user_errors(debug=False):
        raise error
    assert caught.value.exit_code == 2
    assert capsys.readouterr() == ("", line)
    with pytest.raises(type(error)), user_errors(debug=True):
        raise error


def test_an_interrupt_says_how_to_go_on(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(typer.Exit) as caught, user_errors(debug=False):
        raise KeyboardInterrupt
    assert caught.value.exit_code == 130
    assert capsys.readouterr().err == "stopped; start the same command again to go on\n"


def lose_the_terminal():
    try:
        raise Stopped(signal.SIGHUP)
    finally:
        raise OSError(errno.EIO, "the display cannot be ended")


def test_a_terminal_that_is_lost_with_the_signal_leaves_the_status_of_the_signal():
    with pytest.raises(typer.Exit) as caught, user_errors(debug=False):
        lose_the_terminal()
    assert caught.value.exit_code == 128 + signal.SIGHUP


def test_a_mistake_that_cannot_be_written_keeps_its_status(monkeypatch: pytest.MonkeyPatch):
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb", buffering=0) as raw:
        lost = io.TextIOWrapper(raw, write_through=True)
        monkeypatch.setattr("sys.stderr", lost)
        with pytest.raises(typer.Exit) as caught, user_errors(debug=False):
            raise InputError("size is 0")
        with suppress(BrokenPipeError):
            lost.detach()
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("error", [RuntimeError("a defect"), OSError(errno.EBADF, "a defect")])
def test_what_is_no_mistake_of_the_user_is_let_through(error: Exception):
    with pytest.raises(type(error)), user_errors(debug=False):
        raise error
