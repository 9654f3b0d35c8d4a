"""Results: JSON round trip, means and spreads, and the machine they were measured on."""

import json
import math
import shutil
from pathlib import Path

import pytest
from pydantic import ValidationError

from nas_peft.cli.result_output import next_commands
from nas_peft.machine.container import cores
from nas_peft.machine.environment import environment
from nas_peft.run.results import RowResult, SearchResult, SeedResult


def seed_result(seed: int, val: float, test: float | None) -> SeedResult:
    return SeedResult(
        seed=seed,
        lr=0.005,
        val_accuracy=val,
        val_loss=1 - val,
        test_accuracy=test,
        test_loss=None if test is None else 1 - test,
        image_passes=100,
        seconds=1.5,
        losses=[2.0, 1.0],
    )


def row_result(name: str, *seeds: SeedResult, selected: bool = False) -> RowResult:
    return RowResult(
        name=name,
        label="searched subnet",
        group="searched",
        method="subnet",
        architecture={"depth": 2, "lora_rank": [1, 0]},
        description="LoRA 1·0",
        module_params=512,
        bytes=2048,
        flops=1000,
        head_params=30,
        params=542,
        recipe={"epochs": 1},
        selected=selected,
        averaging=None,
        seeds=list(seeds),
        runs=[],
        error=None,
    )


def test_a_whole_result_survives_json(finished_run: SearchResult):
    text = json.dumps(finished_run.model_dump(mode="json"), allow_nan=False)
    assert SearchResult.model_validate_json(text) == finished_run


def test_mean_and_standard_deviation_over_seeds():
    row = row_result("a", seed_result(0, 0.8, 0.7), seed_result(1, 0.9, 0.5), seed_result(2, 1.0, 0.6))
    assert row.mean("val_accuracy") == pytest.approx(0.9)
    assert row.std("val_accuracy") == pytest.approx(0.1)  # of a sample: divided by n - 1
    assert row.mean("test_accuracy") == pytest.approx(0.6)
    assert row.mean("image_passes") == 100


def test_one_seed_has_no_spread():
    assert row_result("a", seed_result(0, 0.8, 0.7)).std("val_accuracy") is None


def test_a_row_is_tested_if_all_its_seeds_are():
    assert row_result("a", seed_result(0, 0.8, 0.7), seed_result(1, 0.8, 0.0)).tested
    assert not row_result("a", seed_result(0, 0.8, None), seed_result(1, 0.8, None)).tested
    assert not row_result("a").tested  # a failed one has no seeds


def test_the_selected_row(finished_run: SearchResult):
    rows = [row_result("a"), row_result("b", selected=True)]
    assert finished_run.model_copy(update={"rows": rows}).selected.name == "b"


def test_an_unknown_field_is_refused(finished_run: SearchResult):
    with pytest.raises(ValidationError, match="test_sccuracy"):
        SeedResult.model_validate(seed_result(0, 1.0, 1.0).model_dump() | {"test_sccuracy": 1.0})
    with pytest.raises(ValidationError, match="version"):
        SearchResult.model_validate(finished_run.model_dump() | {"version": 1})


def test_the_environment_is_said():
    found = environment("cpu")
    assert found["cores"] == f"{cores():g}"
    assert {"nas-peft", "torch", "timm", "optuna", "ray", "numpy", "python", "device"} <= set(found)
    assert all(found.values())


def test_every_number_of_a_run_is_finite(finished_run: SearchResult):
    def numbers(value: object) -> list[float]:
        if isinstance(value, dict):
            return [n for v in value.values() for n in numbers(v)]
        if isinstance(value, list):
            return [n for v in value for n in numbers(v)]
        return [value] if isinstance(value, float) else []

    found = numbers(finished_run.model_dump(mode="json"))
    assert len(found) > 50
    assert all(math.isfinite(n) for n in found)


def test_a_run_that_was_moved_prints_where_it_is(finished_run: SearchResult, tmp_path: Path):
    moved = tmp_path / "moved here"
    moved.mkdir()
    for name in ("results.json", "config.yaml"):
        shutil.copy(Path(finished_run.run) / name, moved)
    result = SearchResult.read(moved / "results.json")
    assert result.run == str(moved) != finished_run.run
    commands = next_commands(result)
    assert commands.count(f"'{moved}'") + commands.count(f"'{moved}/subnet.safetensors'") == 5
    assert finished_run.run not in commands
