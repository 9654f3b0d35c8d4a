"""Connections: slow heads, no HTTP, half-closed ones, and too many."""

from __future__ import annotations

import http.client
import socket
import time

import pytest

from nas_peft.serving.limits import Limits

from .conftest import running

GET = b"GET /health HTTP/1.1\r\nHost: localhost\r\n"


@pytest.fixture(scope="module")
def strict(make_service):
    with running(make_service(Limits(send_seconds=0.1, queue=1))) as server:  # and 66 connections
        yield server


def test_a_head_that_never_ends(strict):
    started = time.perf_counter()
    found = strict.raw(GET, *[b"X: y\r\n"] * 3, pause=0.05)
    assert found.startswith(b"HTTP/1.1 408")
    assert b'{"error": "the request was not whole after 1.1 s"}' in found
    assert time.perf_counter() - started < 10
    assert strict.service.metrics.requests.labels("none", "408")._value.get() >= 1


def test_a_connection_that_sends_nothing(strict):
    assert strict.raw().startswith(b"HTTP/1.1 408")


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",  # TLS
        b"GET /health\r\n\r\n",
        b"GET /health HTTP/1.1\r\n\r\n",  # no host
        b"GET /health HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 400_000,
        b"POST /tasks/pets/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"POST /tasks/pets/predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
    ids=["TLS", "no version", "no host", "long head", "negative length", "malformed chunk"],
)
def test_what_is_no_http_is_answered_with_400(strict, sent):
    found = strict.raw(sent)
    assert found.startswith(b"HTTP/1.1 400")
    assert b'{"error": "Invalid HTTP request received."}' in found


def test_a_client_that_ends_its_half_early_is_told(strict):
    found = strict.raw(
        b"POST /tasks/pets/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nx", end=True
    )
    assert found.startswith(b"HTTP/1.1 400")
    assert b"ended before it was whole" in found


def test_a_client_that_ends_its_half_after_the_request_is_answered(strict):
    assert strict.raw(GET + b"\r\n", end=True).startswith(b"HTTP/1.1 200")


def test_too_many_connections(strict):
    others = [socket.create_connection(("127.0.0.1", strict.port)) for _ in range(66)]
    try:
        time.sleep(0.1)
        assert strict.raw(GET + b"\r\n").startswith(b"HTTP/1.1 503")
    finally:
        for other in others:
            other.close()
    time.sleep(0.1)
    assert strict.ask("GET", "/health").status == 200


def test_an_idle_connection_may_be_used_again(strict):
    connection = http.client.HTTPConnection("127.0.0.1", strict.port, timeout=10)
    connection.connect()
    own = connection.sock
    for _ in range(2):
        connection.request("GET", "/health")
        assert connection.getresponse().read() == b'{"status":"ok"}'
        assert connection.sock is own
        time.sleep(1.3)  # longer than a request may take
    connection.close()
