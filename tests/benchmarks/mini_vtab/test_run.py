"""Mistakes in the command line of the small VTAB."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.mini_vtab.run import main


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--seeds=1"], "give --data FOLDER"),
        (["--task=digits", "--epochs=0"], "argument --epochs: '0' is not a whole number from 1"),
        (["--task=digits", "--supernet-epochs", "4", "0"], "argument --supernet-epochs: '0' is not"),
    ],
)
def test_mistakes_are_one_line(
    options: list[str], message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main([*options, f"--store={tmp_path}"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
