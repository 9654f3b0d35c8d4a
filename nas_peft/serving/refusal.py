"""The answer to a request that cannot be served: a status and one line that says why."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.responses import JSONResponse

RETRY_AFTER = "1"
"""Seconds after which a client may try again when the server is full."""


class Refusal(Exception):
    """A request is refused with an HTTP status and one line of reason."""

    def __init__(self, status: int, reason: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = " ".join(reason.split())
        self.headers = dict(headers or {})

    def response(self) -> JSONResponse:
        """The refusal as JSON: ``{"error": REASON}``."""
        return JSONResponse({"error": self.reason}, self.status, self.headers)


def server_is_full(limit: int) -> Refusal:
    """The refusal of a request while ``limit`` others are being served."""
    return Refusal(
        503,
        f"the server has {limit} requests in hand, which is its limit; try again in {RETRY_AFTER} s",
        {"Retry-After": RETRY_AFTER},
    )
