"""Digests of jobs."""

from benchmarks.harness.keys import digest


def test_digests_tell_content_apart() -> None:
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    assert digest({"a": 1}) != digest({"a": 2})
