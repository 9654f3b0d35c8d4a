"""Limits of the server, so that no client can exhaust memory, time or connections."""

from __future__ import annotations

from dataclasses import dataclass

from nas_peft.data.decoding import DEFAULT_MAX_PIXELS


@dataclass(frozen=True)
class Limits:
    """Largest values that the server accepts.

    Attributes:
        max_body: bytes of a request's body.
        max_pixels: pixels of an image, checked before decoding.
        queue: requests that are read, decoded or waiting at one time; further ones are refused with 503.
        max_wait: seconds that an image waits for others to share its batch.
        max_batch: images of a batch.
        send_seconds: seconds that a client may take to send a whole request.
    """

    max_body: int = 16 * 2**20
    max_pixels: int = DEFAULT_MAX_PIXELS
    queue: int = 64
    max_wait: float = 0.005
    max_batch: int = 32
    send_seconds: float = 10.0

    @property
    def connections(self) -> int:
        """Connections that may be open at one time: of the requests in hand, idle ones, and health checks."""
        return 2 * self.queue + 64
