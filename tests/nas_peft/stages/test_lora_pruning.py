"""LoRA before it is pruned: trained above the budget, cut once to it, resumed, and handed to its row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from nas_peft.protocol.rows import Row, baseline_rows
from nas_peft.run.inherited_starts import InheritedStarts
from nas_peft.run.progress import StageBars
from nas_peft.run.run import Run
from nas_peft.run.run_folder import RunFolder
from nas_peft.run.search_inputs import SearchInputs
from nas_peft.run.stage_records import PruningRecord
from nas_peft.settings.baselines import BASELINES
from nas_peft.settings.search_config import SearchConfig
from nas_peft.stages import lora_pruning
from nas_peft.stages.lora_pruning import FIRST_HALF, PrunedLora, pruned_lora, start_architecture
from nas_peft.training.trainings import run_training
from search_spaces import Architecture, Budget, count_params
from supernet import NonFiniteLoss, Recipe, Supernet, pooled_features

KINDS = BASELINES["lora-pruned"].kinds
PROBE = Recipe(2, 0.1)


class Killed(Exception):
    pass


@pytest.fixture
def inputs(tiny_inputs: SearchInputs) -> SearchInputs:
    return configured(tiny_inputs, baselines="lora-pruned", epochs=4)


def configured(inputs: SearchInputs, **values: Any) -> SearchInputs:
    return replace(inputs, config=SearchConfig.of(**inputs.config.to_dict() | values))


def run_of(inputs: SearchInputs, path: Path, bars: StageBars | None = None) -> Run[SearchInputs]:
    return Run(inputs, RunFolder.open(path, inputs.config), "cpu", bars or StageBars(quiet=True))


@pytest.fixture(scope="module")
def features(tiny_inputs: SearchInputs) -> Tensor:
    network = Supernet(tiny_inputs.backbone.model, Architecture.empty(8), 2).eval()
    images = torch.cat([tiny_inputs.dataset.train.images[:], tiny_inputs.dataset.val.images[:]])
    return pooled_features(network, images, tiny_inputs.preprocessing).cpu()


def require_equal(found: PrunedLora, expected: PrunedLora) -> None:
    assert found.architecture == expected.architecture
    mine, theirs = found.inherited["lora-pruned"], expected.inherited["lora-pruned"]
    assert mine.keys() == theirs.keys()
    assert all(torch.equal(mine[name], value) for name, value in theirs.items())


def test_it_starts_at_twice_the_budget_at_most(inputs: SearchInputs):
    shape = inputs.backbone.shape

    def of(params: int) -> Architecture:
        return start_architecture(replace(inputs, budget=Budget(params, False, str(params))))

    one = count_params(of(1), shape)
    assert of(1) == Architecture.of(8, dict.fromkeys(KINDS, [1] * 8))
    for params in (one // 2, one, 3 * one, 10 * one + 1):
        start = of(params)
        assert set(start.kinds) == set(KINDS)
        assert count_params(start, shape) == one * max(1, 2 * params // one)
    assert max(of(10**9)["lora_rank"]) == shape.width


def test_what_is_left_fits_the_budget_and_is_what_the_row_starts_from(
    inputs: SearchInputs, features: Tensor, tmp_path: Path
):
    run = run_of(inputs, tmp_path / "run")
    found = pruned_lora(run, features)
    assert found.architecture is not None
    left = count_params(found.architecture, inputs.backbone.shape)
    assert (
        0 < left <= inputs.budget.max_params < count_params(start_architecture(inputs), inputs.backbone.shape)
    )
    (record,) = run.costs.to_dict().values()
    assert list(run.costs.to_dict()) == [FIRST_HALF]
    assert record.image_passes == 2 * len(inputs.dataset.train)  # half of four epochs
    written = run.folder.required_stage("lora-pruned", PruningRecord)
    assert Architecture.from_dict(written.architecture) == found.architecture
    assert len(written.losses) == 2
    require_equal(pruned_lora(run_of(inputs, tmp_path / "run"), features), found)
    (row,) = baseline_rows(inputs.config, 8, pruned=found.architecture)
    (training,) = row.trainings(inputs.config, PROBE, [3], "train")
    shared = inputs.for_trainings(features, InheritedStarts(found.inherited))
    trained, _ = run_training(training, shared, "cpu")
    assert trained.curve is not None
    assert len(trained.curve.losses) == 2
    assert trained.curve.losses[-1] < written.losses[0]


@pytest.mark.parametrize("after", [1, 2])
def test_killed_and_resumed_is_not_killed(
    inputs: SearchInputs, features: Tensor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
):
    expected = pruned_lora(run_of(inputs, tmp_path / "whole"), features)
    train = lora_pruning.train

    def killed(*args: Any, on_epoch: Callable[[int], None], **options: Any) -> Any:
        def end(finished: int) -> None:
            on_epoch(finished)
            if finished == after:
                raise Killed

        return train(*args, on_epoch=end, **options)

    monkeypatch.setattr(lora_pruning, "train", killed)
    run = run_of(inputs, tmp_path / "killed")
    with pytest.raises(Killed):
        pruned_lora(run, features, save_every=0.0)
    (state,) = (tmp_path / "killed" / "stages").glob("*.state.pt")
    seen: list[int] = []

    def watched(*args: Any, on_epoch: Callable[[int], None], **options: Any) -> Any:
        return train(*args, on_epoch=lambda done: (seen.append(done), on_epoch(done)), **options)

    monkeypatch.setattr(lora_pruning, "train", watched)
    found = pruned_lora(run_of(inputs, tmp_path / "killed"), features)
    assert seen == [1, 2][after - 1 :]
    assert not state.exists()
    require_equal(found, expected)


def test_a_training_that_fails_takes_its_row_with_it(inputs: SearchInputs, features: Tensor, tmp_path: Path):
    failing = configured(inputs, lr=1e30)
    run = run_of(failing, tmp_path / "run")
    found = pruned_lora(run, features)
    assert (found.architecture, dict(found.inherited)) == (Architecture.empty(8), {})
    record = run.folder.required_stage("lora-pruned", PruningRecord)
    assert record.error is not None
    assert "learning rate" in record.error
    row: Row
    (row,) = baseline_rows(failing.config, 8, pruned=found.architecture)
    (training,) = row.trainings(failing.config, PROBE, [0], "train")
    with pytest.raises(NonFiniteLoss, match="the training before the pruning failed; try a lower --lr"):
        run_training(training, failing.for_trainings(features, InheritedStarts(found.inherited)), "cpu")


def test_without_the_baseline_nothing_is_done(inputs: SearchInputs, features: Tensor, tmp_path: Path):
    run = run_of(configured(inputs, baselines="linear"), tmp_path / "run")
    found = pruned_lora(run, features)
    assert (found.architecture, dict(found.inherited)) == (None, {})
    assert not run.costs.to_dict()
