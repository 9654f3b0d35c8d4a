"""Requests that a foreign page has a browser send, and headers that are no token."""

from __future__ import annotations

import pytest

from .conftest import running


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8000", "[::1]:8000", "LOCALHOST"])
def test_the_names_of_this_machine_are_answered(server, host):
    assert server.ask("GET", "/tasks", headers={"Host": host}).status == 200


@pytest.mark.parametrize(
    "host", ["example.com", "localhost.example.com:8000", "192.0.2.1", "", "127.0.0.1@x"]
)
def test_other_names_are_not(server, host):
    for path in ("/tasks", "/", "/health"):
        answer = server.ask("GET", path, headers={"Host": host})
        assert answer.status == 403
        assert "localhost" in answer.error


@pytest.mark.parametrize("origin", ["https://example.com", "null", "http://localhost:1"])
def test_the_page_of_another_site_is_refused(server, origin):
    headers = {"Origin": origin}
    assert server.ask("POST", "/tasks/pets/predict", b"x", headers).status == 403
    own = {"Origin": f"http://127.0.0.1:{server.port}"}
    assert server.ask("POST", "/tasks/pets/predict", b"x", own).status == 415


def test_odd_tokens_are_wrong_and_never_an_error(make_service):
    with running(make_service(), "0123456789abcdef") as server:
        server.token = None
        for given in (
            "Bearer",
            "Bearer ",
            "",
            "Bearer 0123456789abcde",
            "bearer\xff",
            "Bearer \xe9" * 9,
            "x" * 9999,
        ):
            assert server.ask("GET", "/tasks", headers={"Authorization": given}).status == 401
        right = {"Authorization": "bearer  0123456789abcdef", "Host": "any.example.com"}
        assert server.ask("GET", "/tasks", headers=right).status == 200
