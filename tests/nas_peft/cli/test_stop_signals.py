"""A signal that asks to stop ends a command as Ctrl-C does, and says how to go on."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from nas_peft.cli.stop_signals import Stopped, stop_signals

CODE = """
import os, signal, sys, time
from nas_peft.cli.user_errors import user_errors
import typer
signal.signal(int(sys.argv[1]), signal.SIG_DFL)  # whatever the tests were started by ignores
try:
    with user_errors(False):
        try:
            os.kill(os.getpid(), int(sys.argv[1]))
            time.sleep(60)
        finally:
            os.kill(os.getpid(), int(sys.argv[1]))  # a second one, while the command ends
            print("cleaned up")
except typer.Exit as end:
    sys.exit(end.exit_code)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_the_command_ends_in_order_and_says_how_to_go_on(number: int):
    done = subprocess.run([sys.executable, "-c", CODE, str(int(number))], capture_output=True, text=True)
    assert done.returncode == 128 + number
    assert done.stdout == "cleaned up\n"
    assert done.stderr == "stopped; start the same command again to go on\n"


def test_handlers_are_put_back_and_ignored_signals_stay_ignored(monkeypatch: pytest.MonkeyPatch):
    before = signal.getsignal(signal.SIGTERM)
    ignored = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stop_signals():
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
            with pytest.raises(Stopped, match=f"signal {int(signal.SIGTERM)}"):
                os.kill(os.getpid(), signal.SIGTERM)
        assert signal.getsignal(signal.SIGTERM) is before
    finally:
        signal.signal(signal.SIGHUP, ignored)


def replace_the_signal() -> None:
    try:
        os.kill(os.getpid(), signal.SIGTERM)
    except Stopped:
        raise KeyboardInterrupt from None


def test_an_interrupt_in_place_of_the_signal_keeps_the_number():
    """Ray's compiled code raises a plain interrupt for whatever a handler raised; Ctrl-C stays what it is."""
    with pytest.raises(Stopped, match=f"signal {int(signal.SIGTERM)}"), stop_signals():
        replace_the_signal()
    with pytest.raises(KeyboardInterrupt) as caught, stop_signals():
        raise KeyboardInterrupt
    assert not isinstance(caught.value, Stopped)


def test_another_thread_changes_nothing():
    before = signal.getsignal(signal.SIGTERM)
    seen = []

    def run() -> None:
        with stop_signals():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert seen == [before]
