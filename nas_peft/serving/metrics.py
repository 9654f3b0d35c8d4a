"""Counters of the server in the format of Prometheus."""

from __future__ import annotations

import time
from contextlib import suppress

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from starlette.types import ASGIApp, Message, Receive, Scope, Send

CONTENT_TYPE = CONTENT_TYPE_LATEST
"""Media type of `Metrics.text`."""

_NAMESPACE = "nas_peft"
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128)
_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)


class Metrics:
    """Counters of one server, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = self._counter("requests", "Answered requests", "endpoint", "status")
        self.answers = self._counter("answers", "Classified images", "task")
        self.seconds = self._histogram(
            "request_seconds", "From the head of a request to its answer", _SECONDS, "endpoint"
        )
        self.batch_images = self._histogram("batch_images", "Images of a batch", _SIZES)
        self.batch_tasks = self._histogram("batch_tasks", "Tasks of a batch", _SIZES)
        self.batch_seconds = self._histogram("batch_seconds", "Forward pass of a batch", _SECONDS)
        self.in_hand = self._gauge("requests_in_hand", "Requests that are read, decoded or waiting")
        self.tasks = self._gauge("tasks", "Tasks that are served")

    def forget(self, task: str) -> None:
        """Remove the series of a task that was unloaded: clients may load and unload any number of names."""
        with suppress(KeyError):  # it has answered nothing
            self.answers.remove(task)

    def _counter(self, name: str, about: str, *labels: str) -> Counter:
        return Counter(name, about, labels, namespace=_NAMESPACE, registry=self.registry)

    def _histogram(self, name: str, about: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(name, about, labels, namespace=_NAMESPACE, registry=self.registry, buckets=buckets)

    def _gauge(self, name: str, about: str) -> Gauge:
        return Gauge(name, about, namespace=_NAMESPACE, registry=self.registry)

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
