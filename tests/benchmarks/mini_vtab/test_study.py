"""Jobs of the small VTAB: the grid of every method, and the choice of the supernet."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.mini_vtab.methods import LINEAR_RATES, MODULE_RATES, RATES, SINGLES


def lines_of(store: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (store / "lines.jsonl").read_text().splitlines()]


@pytest.mark.thorough
def test_every_rate_of_the_grid_is_tried_for_every_method(compared: dict[str, Any], store: Path) -> None:
    tried: dict[str, set[float]] = {}
    for line in lines_of(store):
        if line["kind"] == "training" and line["training"]["on"] == "train":
            name = line["training"]["name"]
            tried.setdefault(name, set()).add(line["training"]["recipe"]["lr"])
    for method, rates in RATES.items():
        assert tried[method] == set(rates)
    assert tried["linear"] == set(LINEAR_RATES)
    grids = [rates for name, rates in tried.items() if name.startswith("subnet-")]
    of_the_grid = [rates for rates in grids if rates >= set(MODULE_RATES)]
    singles, shallow, everywhere, noah, found = len(SINGLES), 1, 2, 1, 3
    assert len(of_the_grid) == singles + shallow + everywhere + noah + found


@pytest.mark.thorough
def test_the_supernet_has_the_epochs_that_validation_data_prefer(
    compared: dict[str, Any], store: Path
) -> None:
    plan = compared["settings"]["search"]
    assert plan["supernet_epochs"] == [1, 2]
    found = next(line for line in lines_of(store) if line["kind"] == "search" and line["plan"] == plan)
    judged = found["supernet"]["judged_losses"]
    assert set(judged) == {"1", "2"}
    assert found["supernet"]["epochs"] == int(min(judged, key=lambda epochs: judged[epochs]))
    assert found["supernet"]["image_passes"] == 3 * 19  # epochs of both, training images
