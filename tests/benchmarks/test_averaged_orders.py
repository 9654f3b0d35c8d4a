"""Averages of trainings in other orders: the table, and a short run that goes on where it ended."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.averaged_orders import ENSEMBLE, ORDERS, SINGLE, SIZES, main, table
from benchmarks.harness.lines import read_lines
from nas_peft import SearchConfig, search

NETWORKS = [*(f"{SINGLE} {i}" for i in range(ORDERS)), *(f"mean of {size}" for size in SIZES), ENSEMBLE]


def lines_of_row(run: str, right: str, loss: float, **others: tuple[str, float]) -> list[dict[str, Any]]:
    """Lines of all networks alike, but for those in ``others``."""
    found = []
    for name in NETWORKS:
        hits, own = others.get(name, (right, loss))
        losses = [own] * len(hits)
        found.append(
            {"run": run, "row": "a", "group": "single", "network": name, "right": hits, "losses": losses}
        )
    return found


def test_gains_are_those_on_the_mean_of_single_trainings():
    better = {"mean of 4": ("1" * 4, 0.5), f"{SINGLE} 0": ("1" * 4, 0.6)}
    rows = table([*lines_of_row("x", "1100", 1.0, **better), *lines_of_row("y", "1100", 1.0)])
    assert rows[0] == f"| run | row | {SINGLE} | mean of 2 | mean of 3 | mean of 4 | {ENSEMBLE} |"
    assert rows[2].startswith("| x | a | 62.5 (0.900) | 50.0 (1.000) |")
    assert "| +18.75 ± 18.75 (-0.200 ± 0.200) |" in rows[-1]


@pytest.mark.thorough
@pytest.mark.usefixtures("ray_address")
def test_a_short_run_goes_on(insects: Path, tmp_path: Path):
    folder = tmp_path / "insects-auto-seed0"
    config = SearchConfig.of(
        dataset=str(insects),
        supernet_epochs="1",
        epochs=1,
        generations=1,
        population=4,
        parents=2,
        retrain=1,
        singles="lora_rank",
        baselines="linear",
        linear_epochs=5,
        start="inherited",
    )
    search(config, folder, device="cpu")
    lines = tmp_path / "lines.jsonl"
    options = [f"--run={folder}", f"--lines={lines}"]
    assert main(options) == 0
    written = read_lines(lines)
    assert [line["network"] for line in written] == 2 * NETWORKS
    assert [line["group"] for line in written] == ["searched"] * len(NETWORKS) + ["single"] * len(NETWORKS)
    assert all(len(one["right"]) == len(one["losses"]) > 0 for one in written)
    assert main(options) == 0
    assert read_lines(lines) == written
