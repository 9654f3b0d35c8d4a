"""Signals that ask a command to stop, treated as Ctrl-C is: a batch system's SIGTERM, a lost terminal."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_NAMES = ("SIGTERM", "SIGHUP")  # the latter is not on every system


class Stopped(KeyboardInterrupt):
    """Raised in the main thread by a signal, so that what ends at Ctrl-C ends here, too."""

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by signal {number}")
        self.number = number


@contextmanager
def stop_signals() -> Iterator[None]:
    """Raise `Stopped` at the first such signal, and ignore further ones while the command ends.

    A plain `KeyboardInterrupt` that leaves the context after a signal becomes `Stopped`: where Ray waits in
    compiled code, it raises that in place of what the handler raised.

    Signals that are ignored already (``nohup``) stay so. In another thread than the main one, where Python
    cannot set handlers, nothing is changed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers}
    handled = [number for number, handler in before.items() if handler is not signal.SIG_IGN]

    received: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        received.append(number)
        for other in handled:
            signal.signal(other, signal.SIG_IGN)
        raise Stopped(number)

    for number in handled:
        signal.signal(number, stop)
    try:
        yield
    except KeyboardInterrupt as error:
        if received and not isinstance(error, Stopped):
            raise Stopped(received[0]) from error
        raise
    finally:
        for number in handled:
            signal.signal(number, before[number])
