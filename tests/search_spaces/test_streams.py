"""Random streams: fixed by seed and path, independent of what was drawn before."""

import itertools

import pytest

from search_spaces.streams import stream, stream_seed

PATHS = [(0,), (1,), (0, "search"), (0, "search", 0), (0, "search", 1), (0, "supernet"), (1, "search")]

RECORDED = [891004, 352017, 577741]


def test_seed_and_path_fix_the_numbers():
    first = stream(3, "search", 2).integers(10**9, size=5).tolist()
    stream(3, "search", 1).integers(10**9, size=99)
    assert stream(3, "search", 2).integers(10**9, size=5).tolist() == first


@pytest.mark.parametrize(("one", "other"), [*itertools.combinations(PATHS, 2)])
def test_another_seed_or_path_gives_others(one: tuple, other: tuple):
    assert stream(*one).integers(10**9, size=5).tolist() != stream(*other).integers(10**9, size=5).tolist()
    assert stream_seed(*one) != stream_seed(*other)


def test_the_numbers_are_those_of_every_process_and_version():
    """Python's own hash of a string would differ in each process."""
    assert stream(0, "search", 3).integers(10**6, size=3).tolist() == RECORDED
    assert 0 <= stream_seed(0, "search") < 2**63
