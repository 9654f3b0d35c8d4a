"""Progress: one line for each stage where standard error is no terminal, and nothing when quiet."""

import pytest

from nas_peft.run.progress import StageBars


def test_a_stage_that_ends_is_one_line_on_standard_error(capsys):
    with StageBars() as bars:
        with bars.stage("supernet (epochs)") as advance:
            for done in range(3):
                advance(done + 1, 3)
        with bars.stage("search (candidates)") as advance:
            advance(0, 12)
            advance(8, 8)  # a space that was exhausted
    shown = capsys.readouterr()
    assert shown.err.splitlines() == ["supernet (epochs): 3/3", "search (candidates): 8/8"]
    assert shown.out == ""


def test_a_stage_that_fails_says_nothing(capsys):
    def fail() -> None:
        with StageBars() as bars, bars.stage("data") as advance:
            advance(1, 3)
            raise RuntimeError("broke")

    with pytest.raises(RuntimeError, match="broke"):
        fail()
    assert capsys.readouterr().err == ""


def test_quiet_bars_show_nothing(capsys):
    bars = StageBars(quiet=True)
    with bars, bars.stage("data") as advance:
        advance(3, 3)
    assert capsys.readouterr() == ("", "")
