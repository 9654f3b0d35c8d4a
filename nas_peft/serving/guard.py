"""The check of each request before anything else: its token, and the page that it comes from."""

from __future__ import annotations

import hmac

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from nas_peft.serving.refusal import Refusal

OPEN_PATHS = frozenset({"/", "/health"})
"""Paths that need no token: the page, which holds no data and asks for the token, and the health check."""

_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})


class Guard:
    """Refuses requests without the token, and those that a foreign web page has a browser send.

    Without a token only programs of this machine can connect, browsers among them. A page on the internet
    may let a browser send requests here, under a name of its own that it points to 127.0.0.1 (DNS
    rebinding). So without a token the host must be named as loopback, and a page that sends requests must be
    the server's own.
    """

    def __init__(self, app: ASGIApp, token: str | None) -> None:
        self._app = app
        self._token = None if token is None else token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer it with a refusal."""
        if scope["type"] == "http" and (refusal := self._refusal(scope["path"], Headers(scope=scope))):
            await refusal.response()(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _refusal(self, path: str, headers: Headers) -> Refusal | None:
        host, origin = headers.get("host", ""), headers.get("origin")
        if origin is not None and origin.partition("://")[2] != host:
            return Refusal(403, "the request comes from the page of another site; open the server's own page")
        if self._token is None:
            if _without_port(host) in _LOOPBACK_NAMES:
                return None
            return Refusal(
                403, "without a token the server answers to the names localhost and 127.0.0.1 alone"
            )
        if path in OPEN_PATHS:
            return None
        scheme, _, given = headers.get("authorization", "").partition(" ")
        # both sides are compared as bytes, in a time that does not depend on where they differ
        same = hmac.compare_digest(given.strip().encode("utf-8", "surrogateescape"), self._token)
        if scheme.lower() == "bearer" and same:
            return None
        reason = "the token is missing or wrong; send it as 'Authorization: Bearer TOKEN'"
        return Refusal(401, reason, {"WWW-Authenticate": "Bearer"})


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return (name if colon and port.isdigit() else host).lower()
