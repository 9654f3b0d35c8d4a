"""Counters of the server in the format of Prometheus."""

from __future__ import annotations

import time

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

CONTENT_TYPE = CONTENT_TYPE_LATEST
"""Media type of `Metrics.text`."""

_SIZES = (1, 2, 4, 8, 16, 32, 64, 128)


class Metrics:
    """Counters of one server, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        of = {"registry": self.registry, "namespace": "nas_peft"}
        self.requests = Counter("requests", "Answered requests", ["endpoint", "status"], **of)
        self.seconds = Histogram("request_seconds", "From a request's head to its answer", ["endpoint"], **of)
        self.answers = Counter("answers", "Classified images", ["task"], **of)
        self.batch_images = Histogram("batch_images", "Images of a batch", buckets=_SIZES, **of)
        self.batch_tasks = Histogram("batch_tasks", "Tasks of a batch", buckets=_SIZES, **of)
        self.batch_seconds = Histogram("batch_seconds", "Forward pass of a batch", **of)
        self.in_hand = Gauge("requests_in_hand", "Requests that are read, decoded or waiting", **of)
        self.tasks = Gauge("tasks", "Tasks that are served", **of)

    def text(self) -> bytes:
        """All counters as Prometheus reads them."""
        return generate_latest(self.registry)


class MeasuredRequests:
    """Counts each request with its endpoint, status and seconds."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the request and count it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        status = 500

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noted)
        finally:
            # the template of the path and never the path, of which clients may invent any number
            endpoint = getattr(scope.get("route"), "path", "other")
            self._metrics.requests.labels(endpoint, str(status)).inc()
            self._metrics.seconds.labels(endpoint).observe(time.perf_counter() - started)
