"""Exit status, and options that are whole numbers."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import pytest

from benchmarks.harness.command_line import StudyParser, exit_status, whole_number


def run(argv: Sequence[str]) -> None:
    parser = StudyParser("some_study", "Study something.")
    parser.add_argument("--epochs", type=whole_number)
    print(parser.parse_args(argv).epochs)


def test_a_mistake_is_one_line_and_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_status(run, ["--epoch=3"]) == 0  # argparse completes a prefix
    assert capsys.readouterr().out == "3\n"
    assert exit_status(run, ["--seeds=3"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line == "error: unrecognized arguments: --seeds=3; --help lists the options"


def test_another_error_is_not_taken_for_a_mistake() -> None:
    def broken(argv: Sequence[str]) -> None:
        raise KeyError("epochs")

    with pytest.raises(KeyError):
        exit_status(broken, [])


def test_help_names_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        exit_status(run, ["--help"])
    assert capsys.readouterr().out.startswith("usage: python -m benchmarks.some_study ")


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "x", "", "²"])
def test_whole_numbers_start_at_one(text: str) -> None:
    assert whole_number("12") == 12
    with pytest.raises(argparse.ArgumentTypeError, match="is not a whole number from 1"):
        whole_number(text)
