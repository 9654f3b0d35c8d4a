"""The mean of trainings in other orders: made, tested, exported, resumed, and refused where it is behind."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from nas_peft.protocol import mean_of_orders
from nas_peft.protocol.comparison_stage import compare_rows
from nas_peft.protocol.decision_words import last_step
from nas_peft.protocol.mean_of_orders import is_behind
from nas_peft.protocol.results_table import calibrated_losses
from nas_peft.protocol.rows import Row, baseline_rows
from nas_peft.run.progress import StageBars
from nas_peft.run.results import SearchResult
from nas_peft.run.run import Run
from nas_peft.run.run_folder import RunFolder
from nas_peft.run.search_inputs import SearchInputs
from nas_peft.settings.search_config import SearchConfig
from nas_peft.stages.probe import probe
from nas_peft.training.image_scores import ImageScores
from search_spaces import Architecture
from supernet import load_subnet

SINGLE = Row("lora_rank-2", "single", "subnet", Architecture.uniform(8, "lora_rank", 2))
QUIET = StageBars(quiet=True)


def scores(wrong: int, images: int = 100) -> ImageScores:
    logits = torch.tensor([[2.0, 0.0]]).repeat(images, 1)
    logits[:wrong] = torch.tensor([0.0, 2.0])
    return ImageScores.of(logits, torch.zeros(images, dtype=torch.int64))


def test_a_mean_is_behind_by_more_than_the_noise_of_single_trainings():
    singles = [scores(20), scores(30)]
    assert not is_behind([scores(25)], singles, "accuracy")
    assert not is_behind([scores(5)], singles, "accuracy")
    assert is_behind([scores(60)], singles, "accuracy")
    assert not is_behind([scores(60), scores(2)], [scores(30)], "accuracy")  # of two seeds together


@pytest.fixture(scope="module")
def compare(ray_address: str, tiny_values: dict[str, Any]) -> Callable[..., SearchResult]:
    """A comparison of a single method with linear probing."""

    def compared(folder: Path, **changes: Any) -> SearchResult:
        given = {"average": 3, "baselines": "linear", "linear_lr": 1e-2, "epochs": 1, "lr": 1e-3}
        config = SearchConfig.of(**tiny_values | given | changes)
        inputs = SearchInputs.load(config, QUIET)
        run = Run(inputs, RunFolder.open(folder, config), "cpu", QUIET)
        found = probe(run)
        run.costs.add("linear probe", found.record)
        rows = [SINGLE, *baseline_rows(config, 8)]
        return compare_rows(run, rows, probe=found.recipe, features=found.features, protocol="of a test")

    return compared


@pytest.fixture(scope="module")
def result(compare: Callable[..., SearchResult], tmp_path_factory: pytest.TempPathFactory) -> SearchResult:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mean_of_orders, "BEHIND", 1e9)  # whatever these few images say
        patch.setattr(mean_of_orders, "can_be_better", lambda leader: True)
        return compare(tmp_path_factory.mktemp("runs") / "mean", seeds=2)


def test_the_mean_is_a_row_that_is_tested_and_exported(result: SearchResult):
    assert [row.label for row in result.rows] == ["LoRA alone", "LoRA alone, mean of 3", "linear probing"]
    mean, plain = result.selected, result.decided
    assert (mean.name, plain.name) == ("lora_rank-2-mean", "lora_rank-2")
    assert mean.tested
    assert plain.tested
    assert mean.averaging is not None
    # two seeds, so that the orders of the first are 0, 2 and 4
    assert [i.order_seed for i in mean.averaging.ingredients[0]] == [0, 2, 4]
    assert len({i.lr for of in mean.averaging.ingredients.values() for i in of}) == 1
    weights = [
        load_file(Path(result.run) / "trainings" / f"{key}.safetensors")
        for key in (
            "lora_rank-2.train_val.lr0.001.seed0",
            "lora_rank-2.train_val.lr0.001.seed2.init0",
            "lora_rank-2.train_val.lr0.001.seed4.init0",
        )
    ]
    exported = load_subnet(Path(result.run) / "subnet.safetensors")
    head = torch.stack([of["head.weight"] for of in weights]).double().mean(dim=0).float()
    assert torch.equal(exported.network.head.weight, head)
    assert exported.temperature == mean.averaging.temperatures[0]


def test_the_decision_is_about_single_trainings_and_the_last_step_is_said(result: SearchResult):
    assert result.decision is not None
    assert {rival.row for rival in result.decision.rivals} == {"linear"}
    said = last_step(result)
    assert said is not None
    assert said.startswith("the mean of 3 trainings of LoRA alone in other orders of the images is exported")
    losses = calibrated_losses(result)
    assert losses.keys() == {"lora_rank-2", "lora_rank-2-mean", "linear"}
    assert np.isfinite(list(losses.values())).all()
    of_mean = ["mean of orders", "averaging", "final mean", "final averaging"]
    assert list(result.stages)[-5:] == [*of_mean, "test"]
    assert result.stages["mean of orders"].trainings == result.stages["final mean"].trainings == 4


@pytest.mark.thorough
def test_a_run_whose_weights_were_removed_goes_on_to_the_same_mean(
    result: SearchResult,
    compare: Callable[..., SearchResult],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(mean_of_orders, "BEHIND", 1e9)
    monkeypatch.setattr(mean_of_orders, "can_be_better", lambda leader: True)
    shutil.copytree(result.run, tmp_path / "run")
    (tmp_path / "run" / "results.json").unlink()
    left = {file.name for file in (tmp_path / "run" / "trainings").glob("lora_rank-2.train.*.safetensors")}
    assert all(name.endswith(".val.safetensors") for name in left)  # scores, and no weights
    again = compare(tmp_path / "run", seeds=2)
    assert [seed.test_loss for seed in again.selected.seeds] == [s.test_loss for s in result.selected.seeds]


@pytest.mark.thorough
def test_a_mean_that_is_behind_is_refused_and_its_final_models_are_not_trained(
    compare: Callable[..., SearchResult], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(mean_of_orders, "can_be_better", lambda leader: True)
    monkeypatch.setattr(mean_of_orders, "is_behind", lambda *_: True)
    found = compare(tmp_path / "run")
    assert found.selected.name == found.decided.name == "lora_rank-2"
    assert last_step(found) is None
    assert "final mean" not in found.stages
    assert len(list((tmp_path / "run" / "trainings").glob("lora_rank-2.train_val.*.json"))) == 1


@pytest.mark.thorough
def test_final_models_with_a_barrier_between_them_are_not_averaged(
    compare: Callable[..., SearchResult], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Validation images cannot tell: those trainings are others, and the final models have seen them."""
    monkeypatch.setattr(mean_of_orders, "can_be_better", lambda leader: True)
    monkeypatch.setattr(mean_of_orders, "is_behind", lambda *_: False)
    monkeypatch.setattr(mean_of_orders, "APART", -1.0)
    found = compare(tmp_path / "run")
    assert found.selected.name == found.decided.name == "lora_rank-2"
    assert "final averaging" in found.stages
    assert [row.name for row in found.rows] == ["lora_rank-2", "linear"]


@pytest.mark.thorough
def test_nothing_is_averaged_where_hardly_an_image_is_wrong(
    compare: Callable[..., SearchResult], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(mean_of_orders, "can_be_better", lambda leader: False)
    found = compare(tmp_path / "run")
    assert "mean of orders" not in found.stages
    assert found.selected.name == "lora_rank-2"
