"""The server's process: its socket, its signals, its beginning and end."""

from __future__ import annotations

import signal
import socket
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import uvicorn

from nas_peft.data.decoding import pixel_limit
from nas_peft.serving.api import build_api
from nas_peft.serving.http_protocol import bounded_protocol
from nas_peft.serving.service import Service


class Server(uvicorn.Server):
    """uvicorn's server for a service, which calls ``on_start`` once it answers."""

    def __init__(self, service: Service, token: str | None, on_start: Callable[[], None]) -> None:
        requests = service.metrics.requests
        config = uvicorn.Config(
            build_api(service, token),
            http=bounded_protocol(service.limits, lambda status: requests.labels("none", str(status)).inc()),
            ws="none",
            lifespan="on",
            log_config=None,  # errors go to standard error, by Python's handler of last resort
            log_level="error",  # and malformed requests, which anybody can send, are no errors
            access_log=False,
            server_header=False,
            proxy_headers=False,
        )
        super().__init__(config)
        self._limits = service.limits
        self._on_start = on_start

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer, and say so."""
        await super().startup(sockets)
        self._on_start()

    def serve_on(self, listener: socket.socket) -> None:
        """Answer until SIGTERM or SIGINT, then answer what has been asked and return.

        A second SIGINT ends at once.
        """
        with (
            warnings.catch_warnings(),
            pixel_limit(self._limits.max_pixels),
            _quiet_signals((signal.SIGTERM, signal.SIGINT)),
        ):
            # remarks on the files of strangers would fill the log
            warnings.filterwarnings("ignore", category=UserWarning, module="PIL")
            self.run(sockets=[listener])


@contextmanager
def _quiet_signals(signals: Sequence[signal.Signals]) -> Iterator[None]:
    """Keep ``signals``, which uvicorn raises again when it has stopped, from ending the process."""
    before = {number: signal.signal(number, lambda *_: None) for number in signals}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
