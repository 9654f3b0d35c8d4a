"""HTTP connections that cannot be held open or broken by what a client sends or does not send."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from typing import ClassVar

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from nas_peft.serving.limits import Limits

_SPARE_SECONDS = 1.0
"""Seconds by which the application is faster to refuse a slow body, so that its metrics name the endpoint."""
_LINGER_SECONDS = 1.0
"""Seconds for which a refused client's bytes are still taken: after a reset it could not read the answer."""


def bounded_protocol(limits: Limits, refused: Callable[[int], None]) -> type[H11Protocol]:
    """A protocol class for uvicorn that keeps to ``limits``; ``refused`` is told each refusal's status."""

    class Bounded(BoundedProtocol):
        seconds = limits.send_seconds + _SPARE_SECONDS
        most = limits.connections

        def on_refusal(self, status: int) -> None:
            refused(status)

    return Bounded


class BoundedProtocol(H11Protocol):
    """uvicorn's protocol with a time limit for sending a request, and JSON for what is no HTTP.

    uvicorn waits for the rest of a request for ever, closes without an answer when a client ends its half of
    the connection in the middle of a request, and answers malformed HTTP with plain text.
    """

    seconds: ClassVar[float]
    most: ClassVar[int]
    _clock: asyncio.TimerHandle | None = None
    _refused: bool = False

    def on_refusal(self, status: int) -> None:
        """Take notice of a refusal that the application does not see."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin a connection, if there are not too many."""
        super().connection_made(transport)
        if len(self.connections) > self.most:
            self._refuse(503, "the server has too many connections; try again later")
        else:
            self._clock = self.loop.call_later(self.seconds, self._too_slow)

    def data_received(self, data: bytes) -> None:
        """Take what has arrived, unless the client was refused."""
        if not self._refused:
            super().data_received(data)

    def handle_events(self) -> None:
        """Handle what has arrived, and start or stop the clock of the request."""
        super().handle_events()
        if self._refused or not self._awaits_more():
            self._stop_clock()
        elif self._clock is None and not self.transport.is_closing():
            self._clock = self.loop.call_later(self.seconds, self._too_slow)

    def eof_received(self) -> bool | None:  # type: ignore[override]
        """Answer a client that sends nothing more, and then close; true while the answer is pending."""
        if self._refused:
            return None
        if self._awaits_more():
            self._refuse(400, "the request ended before it was whole")
        elif self.cycle is not None and not self.cycle.response_complete:
            self.cycle.keep_alive = False
            return True
        return None

    def connection_lost(self, exc: Exception | None) -> None:
        """End the connection and its clock."""
        self._stop_clock()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Answer malformed HTTP."""
        self._refuse(400, msg)

    def _awaits_more(self) -> bool:
        """Whether a request has begun and is not whole."""
        state = self.conn.their_state
        return state is h11.SEND_BODY or (state is h11.IDLE and bool(self.conn.trailing_data[0]))

    def _too_slow(self) -> None:
        self._clock = None
        self._refuse(408, f"the request was not whole after {self.seconds:g} s")

    def _stop_clock(self) -> None:
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None

    def _refuse(self, status: int, reason: str) -> None:
        """Answer with JSON if no answer has begun, and close."""
        if self.transport.is_closing() or self._refused:
            return
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True  # the application has nobody to answer
            self.cycle.message_event.set()
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            self.transport.close()
        else:
            self._refused = True
            self.on_refusal(status)
            body = json.dumps({"error": " ".join(reason.split())}).encode()
            headers = [
                ("content-type", "application/json"),
                ("content-length", str(len(body))),
                ("connection", "close"),
            ]
            for event in (
                h11.Response(status_code=status, headers=headers),
                h11.Data(data=body),
                h11.EndOfMessage(),
            ):
                self.transport.write(self.conn.send(event) or b"")
            with suppress(OSError):  # the client has left
                self.transport.write_eof()
            self.loop.call_later(_LINGER_SECONDS, self.transport.close)
