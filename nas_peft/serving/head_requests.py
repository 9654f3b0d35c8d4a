"""Answers to HEAD: the head of what GET would answer, by which health checks and proxies look at a server."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class HeadRequests:
    """Serves a HEAD request as GET and leaves out the body; FastAPI would refuse the method with 405."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return

        async def without_body(message: Message) -> None:
            if message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        scope["method"] = "GET"  # in place: the route that is found is noted in this scope, for the counters
        try:
            await self._app(scope, receive, without_body)
        finally:
            scope["method"] = "HEAD"
