"""HEAD over real sockets: the head of GET's answer, and no body."""

import pytest

from .conftest import running


@pytest.mark.parametrize("path", ["/", "/health", "/tasks", "/metrics", "/openapi.json", "/none"])
def test_head_is_get_without_a_body(server, path):
    head, get = (server.ask(method, path) for method in ("HEAD", "GET"))
    assert head.status == get.status == (404 if path == "/none" else 200)
    assert head.content == b""
    assert head.headers["content-type"] == get.headers["content-type"]
    if path != "/metrics":  # counts requests, so that it grows
        assert head.headers["content-length"] == get.headers["content-length"]


def test_a_connection_goes_on_after_head_and_the_endpoint_is_counted(server):
    text = server.raw(
        b"HEAD /health HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    )
    assert text.count(b"HTTP/1.1 200 OK") == 2
    assert text.count(b'{"status":"ok"}') == 1
    assert (
        'nas_peft_requests_total{endpoint="/health",status="200"}'
        in server.ask("GET", "/metrics").content.decode()
    )


def test_head_needs_the_token_and_changes_nothing(make_service, tmp_path):
    with running(make_service(folder=tmp_path), token="0123456789abcdef") as server:
        assert server.ask("HEAD", "/tasks").status == 200
        assert server.ask("HEAD", "/tasks/pets/predict").status == 405
        server.token = None
        refused = server.ask("HEAD", "/tasks")
        assert (refused.status, refused.content) == (401, b"")
