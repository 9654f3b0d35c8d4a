"""Report of the study of the search, from a short run on a tiny task."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.harness.recipes import LR
from benchmarks.harness.search_plan import SearchPlan


def lines_of(store: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (store / "lines.jsonl").read_text().splitlines()]


@pytest.mark.thorough
def test_the_study_compares_every_method_by_task_and_seed(searched: dict[str, Any]) -> None:
    assert [(run["task"], run["seed"]) for run in searched["runs"]] == [("insects", 0), ("insects", 1)]
    assert set(searched["methods"]) == {"evolution", "evolution-whole", "random", "noah", "long", "uniform"}
    budget = SearchPlan().budget
    assert budget == "0.75%"
    for run in searched["runs"]:
        for name, method in run["methods"].items():
            assert 0 < method["params"] <= 12_098, name
        kinds = set(run["methods"]["uniform"]["architecture"]) - {"depth"}
        assert kinds == {"prompt_tokens", "lora_rank", "adapter_dim"}
        assert run["image_passes"]["random"] >= run["image_passes"]["evolution"]
        assert run["images"]["evolution-whole"] == 8 * 5  # candidates, validation images


@pytest.mark.thorough
def test_differences_are_paired(searched: dict[str, Any]) -> None:
    found = searched["evolution_minus"]["uniform"]
    each = [r["methods"]["evolution"]["test_accuracy"] - r["methods"]["uniform"]["test_accuracy"]
            for r in searched["runs"]]  # fmt: skip
    assert found["mean"] == pytest.approx(sum(each) / 2)
    assert found["error"] == pytest.approx(abs(each[0] - each[1]) / 2)
    assert found["higher"] + found["equal"] + found["lower"] == 2


@pytest.mark.thorough
def test_the_winner_is_the_best_on_validation_data(searched: dict[str, Any], store: Path) -> None:
    trainings = {
        (json.dumps(line["training"]["architecture"]), line["training"]["seed"]): line["val"]
        for line in lines_of(store)
        if line["kind"] == "training" and line["training"]["on"] == "train"
        and line["training"]["recipe"]["lr"] == LR and line["training"]["method"] == "subnet"
    }  # fmt: skip
    searches = [line for line in lines_of(store) if line["kind"] == "search"]
    for run in searched["runs"]:
        search = next(s for s in searches if s["seed"] == run["seed"] and len(s["plan"]["ways"]) == 3)
        best = [json.dumps(c["architecture"]) for c in search["found"]["evolution"]["best"]]
        vals = [trainings[a, run["seed"]] for a in best]
        winner = min(vals, key=lambda v: (-v["accuracy"], v["loss"]))
        assert run["methods"]["evolution"]["val_accuracy"] == pytest.approx(100 * winner["accuracy"])


@pytest.mark.thorough
def test_the_same_command_repeats_nothing_and_reports_the_same(
    searched: dict[str, Any], run_search_study: Callable[[Path], dict[str, Any]], store: Path
) -> None:
    before = (store / "lines.jsonl").read_text()
    assert run_search_study(store.with_name("again.json")) == searched
    assert (store / "lines.jsonl").read_text() == before
