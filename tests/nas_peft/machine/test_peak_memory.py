"""Peak memory of this process: it rises by what is held, and starts anew."""

import mmap
import sys

import pytest
import torch

from nas_peft.machine.peak_memory import PeakMemory, largest, what_is_measured

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="the resident set's peak is read from Linux")
MEGABYTES = 100


def held_for_a_moment() -> None:
    size = MEGABYTES * 10**6
    with mmap.mmap(-1, size) as fresh:  # an array could lie in memory that was freed and is still resident
        fresh.write(b"1" * size)  # written to, or it would not be resident


@LINUX
def test_the_peak_holds_what_was_there_and_gone_again():
    memory = PeakMemory("cpu")
    before = memory.bytes
    held_for_a_moment()
    after = memory.bytes
    assert before is not None
    assert after is not None
    assert after - before > 0.9 * MEGABYTES * 10**6


@LINUX
def test_a_new_one_starts_from_what_is_there_now():
    held_for_a_moment()
    first = PeakMemory("cpu")
    held_for_a_moment()
    second = PeakMemory("cpu")
    assert first.bytes == second.bytes  # the first now counts since the second was made
    held_for_a_moment()
    peak = second.bytes
    assert peak is not None
    third = PeakMemory("cpu").bytes
    assert third is not None
    assert peak - third > 0.9 * MEGABYTES * 10**6


def test_where_it_cannot_be_set_back_nothing_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr("nas_peft.machine.peak_memory._RESET", tmp_path / "none" / "clear_refs")
    assert PeakMemory("cpu").bytes is None
    assert what_is_measured("cpu") == "not measured"


def test_of_a_gpu_it_is_that_of_the_named_one(monkeypatch: pytest.MonkeyPatch):
    """A worker may have any of a machine's GPUs."""
    asked: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", asked.append)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: 10 * device.index)
    assert PeakMemory("cuda:3").bytes == 30
    assert asked == [torch.device("cuda", 3)]


def test_the_largest_of_several_is_known_if_all_are():
    assert largest([3, 5, 4]) == 5
    assert largest([3, None]) is None
    assert largest([]) is None
