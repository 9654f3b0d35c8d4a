"""Starts of searched subnets: choices on halves, the table, and a short run that goes on where it ended."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.harness.lines import read_lines
from benchmarks.warm_starts import BASE, WAYS, judged, main, table
from nas_peft import SearchConfig, search


def line(run: str, way: str, factor: float, right: str, loss: float) -> dict[str, Any]:
    return {
        "run": run,
        "params": 10,
        "way": way,
        "factor": factor,
        "right": right,
        "losses": [loss] * len(right),
    }


def all_ways(run: str, right: str, loss: float, **others: tuple[str, float]) -> list[dict[str, Any]]:
    """Lines of all ways and factors alike, but for the ways in ``others``, whose worst factor is useless."""
    found = []
    for way in WAYS:
        hits, own = others.get(way.label, (right, loss))
        for number, factor in enumerate(way.factors):
            useless = way.label in others and number == 0 and len(way.factors) > 1
            found.append(line(run, way.label, factor, "0" * len(right) if useless else hits, own + useless))
    return found


def test_a_choice_is_judged_on_images_that_had_no_part_in_it():
    lines = all_ways("a-auto-seed0", "10" * 20, 1.0, **{"inherited, 4 epochs": ("1" * 40, 0.5)})
    found = judged(lines)
    assert found["inherited, 4 epochs"] == (100, 0.5)  # the useless factor is never taken
    assert found["any"] == found["any from inherited weights"] == (100, 0.5)
    assert found[BASE][0] == pytest.approx(50, abs=3)
    assert found["any from new modules"] == found[BASE]


def test_runs_of_a_task_count_together_and_unfinished_ones_not():
    better = {"inherited, 2 epochs": ("1" * 20, 0.4)}
    lines = [
        *all_ways("a-auto-seed0", "0" * 20, 1.0, **better),
        *all_ways("a-auto-seed1", "0" * 20, 1.0),
        *all_ways("b-auto-seed0", "1" * 20, 0.2),
        *all_ways("c-auto-seed0", "1" * 20, 0.2)[:-4],
    ]
    rows = table(lines)
    assert rows[0].startswith("| chosen among | a | b | mean |")
    (found,) = [row for row in rows if row.startswith("| inherited, 2 epochs |")]
    assert found == (
        "| inherited, 2 epochs | 50.0 | 100.0 | 75.00 | +25.00 ± 25.00 | 0.450 | -0.150 ± 0.150 |"
    )


@pytest.mark.thorough
def test_a_short_run_goes_on(insects: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    folder = tmp_path / "insects-auto-seed0"
    config = SearchConfig.of(
        dataset=str(insects),
        no_retrain=True,
        supernet_epochs="1",
        generations=1,
        population=4,
        parents=2,
    )
    search(config, folder, device="cpu")
    lines = tmp_path / "lines.jsonl"
    options = [f"--run={folder}", f"--lines={lines}"]
    assert main(options) == 0
    written = read_lines(lines)
    expected = [(way.label, factor) for way in WAYS for factor in way.factors]
    assert [(one["way"], one["factor"]) for one in written] == expected
    assert all(len(one["right"]) == len(one["losses"]) > 0 for one in written)
    lines.write_text("".join(lines.read_text().splitlines(keepends=True)[:-1]))
    assert main(options) == 0
    assert read_lines(lines) == written
    assert "| any from inherited weights |" in capsys.readouterr().out
