"""Trainings on Ray: what they give, what is kept, and what a failing one leaves."""

import re
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from nas_peft.comparison import Row, baseline_rows
from nas_peft.config import SearchConfig
from nas_peft.ray_trainings import RayTrainings
from nas_peft.results import SearchResult
from nas_peft.run_folder import RunFolder
from nas_peft.run_inputs import RunInputs
from nas_peft.trainings import Training, TrainingInputs, run_training
from search_spaces import Architecture
from supernet import Recipe, Supernet, pooled_features

ROWS = [
    Row("lora_rank-2", "single", "subnet", Architecture.uniform(8, "lora_rank", 2)),
    *baseline_rows(SearchConfig.of(dataset="digits"), 8),
]
PROBE = Recipe(epochs=2, lr=1e-2, batch_size=16)


@pytest.fixture(scope="module")
def shared(tiny_inputs: RunInputs) -> TrainingInputs:
    data, backbone, preprocessing = tiny_inputs.dataset, tiny_inputs.backbone, tiny_inputs.preprocessing
    network = Supernet(backbone.model, Architecture.empty(8), 3)
    features = pooled_features(network, data.train_val.images, preprocessing)
    return TrainingInputs(backbone, preprocessing, 3, data.train, data.val, features)


@pytest.fixture
def folder(tmp_path: Path, tiny_config: SearchConfig) -> RunFolder:
    return RunFolder.open(tmp_path / "run", tiny_config)


def run(
    folder: RunFolder, shared: TrainingInputs, trainings: Sequence[Training]
) -> tuple[list[dict[str, Any]], int]:
    """The records, and how often the caller was told of one."""
    ticks: list[int] = []
    with RayTrainings(folder, shared, device="cpu") as runner:
        records = runner.run(trainings, lambda: ticks.append(1))
    return [without_seconds(r) for r in records], len(ticks)


def without_seconds(record: dict[str, Any]) -> dict[str, Any]:
    curve = record["curve"]
    return record | {"curve": curve and {k: v for k, v in curve.items() if k != "seconds"}}


def all_trainings(config: SearchConfig, on: Any = "train") -> list[Training]:
    return [t for row in ROWS for t in row.trainings(config, PROBE, [0, 1], on)]


@pytest.mark.usefixtures("running_ray")
def test_records_come_in_order_and_stay_in_the_folder(
    folder: RunFolder, shared: TrainingInputs, tiny_config: SearchConfig
):
    import ray

    trainings = all_trainings(tiny_config)
    records, ticks = run(folder, shared, trainings)
    assert [(r["name"], r["seed"]) for r in records] == [(t.name, t.seed) for t in trainings]
    assert ticks == 6
    files = sorted(p.name for p in (folder.path / "trainings").iterdir())
    assert files == sorted(f"{t.key}.json" for t in trainings)
    assert ray.is_initialized()  # it was the caller's


def test_what_is_in_the_folder_is_not_trained_again(
    folder: RunFolder,
    shared: TrainingInputs,
    tiny_config: SearchConfig,
    finished_run: SearchResult,
):
    probe = replace(PROBE, lr=next(r for r in finished_run.rows if r.name == "linear").recipe["lr"])
    trainings = [t for row in ROWS[1:] for t in row.trainings(tiny_config, probe, [0], "train_val")]
    for file in (Path(finished_run.run) / "trainings").iterdir():
        shutil.copy(file, folder.path / "trainings")
    before = {p: p.stat().st_mtime_ns for p in (folder.path / "trainings").iterdir()}
    unusable = replace(shared, classes=-1)
    records, ticks = run(folder, unusable, trainings)
    assert [r["name"] for r in records] == ["linear", "full"]
    assert ticks == 2
    assert {p: p.stat().st_mtime_ns for p in (folder.path / "trainings").iterdir()} == before


@pytest.mark.usefixtures("running_ray")
def test_a_training_that_is_alone_left_gives_what_it_gave_in_company(
    folder: RunFolder, shared: TrainingInputs, tiny_config: SearchConfig
):
    longer = tiny_config.model_copy(update={"epochs": 3, "full_lr": 5e-3})
    trainings = all_trainings(longer)
    records, _ = run(folder, shared, trainings)
    last = trainings[-1]  # full fine-tuning: with more threads its sums would differ in their last bits
    (folder.path / "trainings" / f"{last.key}.json").unlink()
    again, _ = run(folder, shared, trainings)
    assert again == records


@pytest.mark.usefixtures("running_ray")
def test_a_final_model_leaves_its_tensors(
    folder: RunFolder, shared: TrainingInputs, tiny_config: SearchConfig
):
    trainings = ROWS[0].trainings(tiny_config, PROBE, [0, 1], "train_val")
    with RayTrainings(folder, shared, device="cpu") as runner:
        records = runner.run(trainings, lambda: None)
        first, second = (runner.tensors(training) for training in trainings)
    assert [record["val"] for record in records] == [None, None]
    assert sum(t.numel() for t in first.values()) == 2 * 4 * 128 * 8 + 128 * 3 + 3
    assert not any(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.usefixtures("running_ray")
def test_ray_computes_what_a_direct_call_does(
    folder: RunFolder, shared: TrainingInputs, tiny_config: SearchConfig
):
    trainings = [row.trainings(tiny_config, PROBE, [0], "train")[0] for row in ROWS]
    records, _ = run(folder, shared, trainings)
    for training, record in zip(trainings, records, strict=True):
        direct, _ = run_training(training, shared, "cpu")
        assert record["val"]["loss"] == pytest.approx(direct["val"]["loss"], rel=1e-4)
        assert record["curve"]["losses"] == pytest.approx(direct["curve"]["losses"], rel=1e-4)


@pytest.mark.usefixtures("running_ray")
def test_a_training_that_fails_says_why_and_leaves_no_record_and_the_others_go_on(
    folder: RunFolder, shared: TrainingInputs, tiny_config: SearchConfig
):
    (wild,) = ROWS[0].trainings(tiny_config, PROBE, [0], "train", 1e30)
    (fine,) = ROWS[0].trainings(tiny_config, PROBE, [0], "train")
    failed, found = run(folder, shared, [wild, fine])[0]
    assert re.search("learning rate .*lower learning rate", failed["error"])
    assert (failed["curve"], failed["val"]) == (None, None)
    assert (failed["name"], failed["recipe"]["lr"]) == ("lora_rank-2", 1e30)
    assert found["error"] is None
    assert [p.stem for p in (folder.path / "trainings").iterdir()] == [fine.key]
