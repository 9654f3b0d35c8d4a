"""Ranks by cross-validation: folds, table, and a short run that goes on where it ended."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.rank_folds import gains, main, table


def test_the_table_has_means_over_images() -> None:
    line = {"task": "a", "lr": 0.01, "epochs": 4, "rank": 8, "fold": 0}
    lines = [
        {**line, "images": 100, "accuracy": 0.5, "loss": 1.0},
        {**line, "fold": 1, "images": 300, "accuracy": 0.7, "loss": 2.0},
        {**line, "rank": 3, "images": 100, "accuracy": 0.4, "loss": 1.5},
    ]
    scaled = [{**line, "images": 100, "accuracy": 0.1, "loss": 3.0, "module_scale": 4.0}]
    assert table([*lines, *scaled])[-2:] == [
        "| a | 0.01 | 4 | 1 | 400 | 40.0 (1.500) | 65.0 (1.750) |",
        "| a | 0.01 | 4 | 4 | 100 |  | 10.0 (3.000) |",
    ]


def test_a_choice_by_more_folds_gains_more_on_the_others() -> None:
    """Rank 8 is better on two folds of three."""
    right = {3: (0.4, 0.4, 0.6), 8: (0.7, 0.7, 0.5)}
    lines = [
        {
            "task": "a",
            "lr": 0.01,
            "epochs": 4,
            "rank": rank,
            "fold": fold,
            "images": 10,
            "accuracy": hit,
            "loss": 1.0,
        }
        for rank, hits in right.items()
        for fold, hit in enumerate(hits)
    ]
    unfinished = {**lines[0], "rank": 16, "accuracy": 0.9}
    # by one fold 8, 8 and 3 are chosen, ahead of the mean by 0.05, 0.05 and -0.15 on the others; by two folds
    # always 8, ahead by 0.15, 0.15 and -0.05
    assert gains([*lines, unfinished])[-2:] == ["| a | -1.67 | +8.33 |", "| mean | -1.67 | +8.33 |"]


@pytest.mark.thorough
def test_a_short_run_goes_on(insects: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = tmp_path / "lines.jsonl"
    options = [
        f"--task={insects}",
        "--folds=2",
        "--rates=1e-2",
        "--epochs=1",
        "--module-scale=4",
        f"--lines={lines}",
    ]
    assert main([*options, "--ranks=1"]) == 0
    first = lines.read_text()
    assert main([*options, "--ranks=1,2"]) == 0
    assert lines.read_text().startswith(first)
    assert len(lines.read_text().splitlines()) == 4
    capsys.readouterr()
    assert main([f"--lines={lines}", "--finished"]) == 0
    row = capsys.readouterr().out.splitlines()[2]
    assert row.startswith(f"| {insects.name} | 0.01 | 1 | 4 | ")


def test_one_fold_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--folds=1"]) == 2
    assert "give at least 2" in capsys.readouterr().err
