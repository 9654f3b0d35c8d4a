"""Bodies: too large, too slow, ended too early, and forms that are none."""

from __future__ import annotations

import socket
import time

import pytest

from nas_peft.serving.limits import Limits

from .conftest import png, random_image, running

HEAD = b"POST /tasks/pets/predict HTTP/1.1\r\nHost: localhost\r\n"


@pytest.fixture(scope="module")
def strict(make_service):
    """A server of small bodies and little patience."""
    with running(make_service(Limits(max_body=20_000, send_seconds=0.3, queue=4))) as server:
        yield server


def status(found: bytes) -> int:
    return int(found.split()[1])


def test_a_body_at_the_limit_is_read_and_one_above_is_not(strict):
    image = png(random_image(0))
    assert strict.ask("POST", "/tasks/pets/predict", image + bytes(20_000 - len(image))).status == 200
    answer = strict.ask("POST", "/tasks/pets/predict", image + bytes(20_001 - len(image)))
    assert answer.status == 413
    assert "20,000 bytes" in answer.error


def test_a_body_without_length_is_measured_as_it_comes(strict):
    pieces = [b"10000\r\n" + bytes(0x10000) + b"\r\n"] * 3
    found = strict.raw(
        HEAD + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n", *pieces, b"0\r\n\r\n"
    )
    assert status(found) == 413


def test_a_slow_body_is_given_up(strict):
    started = time.perf_counter()
    found = strict.raw(HEAD + b"Content-Length: 1000\r\n\r\n", *[b"x"] * 4, pause=0.1)
    assert status(found) == 408
    assert 0.25 < time.perf_counter() - started < 10


def test_others_are_answered_beside_slow_senders_until_the_places_are_taken(strict):
    slow = [socket.create_connection(("127.0.0.1", strict.port)) for _ in range(4)]
    image = png(random_image(1))
    try:
        for connection in slow[:3]:
            connection.sendall(HEAD + b"Content-Length: 1000\r\n\r\n")
        assert strict.ask("POST", "/tasks/pets/predict", image).status == 200
        slow[3].sendall(HEAD + b"Content-Length: 1000\r\n\r\n")
        time.sleep(0.05)
        answer = strict.ask("POST", "/tasks/pets/predict", image)
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        assert "4 requests in hand" in answer.error
        assert [status(connection.recv(9999)) for connection in slow] == [408] * 4
    finally:
        for connection in slow:
            connection.close()
    assert strict.ask("POST", "/tasks/pets/predict", image).status == 200


def test_a_client_that_leaves_gives_its_place_back(strict):
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", strict.port)) as connection:
            connection.sendall(HEAD + b"Content-Length: 1000\r\n\r\nabc")
    time.sleep(0.1)
    assert strict.ask("POST", "/tasks/pets/predict", png(random_image(2))).status == 200


def test_an_empty_body_holds_no_image(strict):
    answer = strict.ask("POST", "/tasks/pets/predict", b"", {"Content-Type": "image/png"})
    assert (answer.status, answer.error) == (400, "the body is empty")
