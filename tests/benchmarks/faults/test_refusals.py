"""Mistakes are refused in real processes before torch is imported; the limit allows for a busy machine."""

from pathlib import Path

import pytest

from benchmarks.faults.hostile.ground import write_images
from benchmarks.faults.refusals import Refusal, mistakes, refused, table

GENEROUS = 3.0
"""Seconds of the processor; the import of torch alone takes more than this."""


@pytest.mark.parametrize("about", ["search: a data set's name misspelled", "front: no such run"])
def test_a_mistake_is_one_line_and_fast(tmp_path: Path, about: str):
    write_images(tmp_path / "images")
    (mistake,) = [mistake for mistake in mistakes(tmp_path) if mistake.about == about]
    found = refused(mistake, tmp_path, repeats=1)
    assert (found.status, found.lines) == (2, 1), found.said
    assert found.processor_seconds < GENEROUS
    assert not (tmp_path / "runs").exists()


def test_what_is_late_or_longer_than_a_line_is_counted():
    good = Refusal("a", [], 1.5, status=2, lines=1, seconds=9.0, processor_seconds=1.0, said="error: x")
    late = Refusal("b", [], 1.5, status=2, lines=1, seconds=9.0, processor_seconds=1.6, said="error: x")
    long = Refusal("c", [], 1.5, status=2, lines=2, seconds=1.0, processor_seconds=1.0, said="error: x")
    assert [refusal.passes for refusal in (good, late, long)] == [True, False, False]
    assert str(table([good, late, long]).caption).startswith("1 of 3")
