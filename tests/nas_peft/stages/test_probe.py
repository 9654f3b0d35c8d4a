"""The linear probe: features once, the learning rate by validation data, and a finished one is read."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from sweep import sweep

from nas_peft.protocol.decision import Contestant, Decision, decide
from nas_peft.run.progress import StageBars
from nas_peft.run.run import Run
from nas_peft.run.run_folder import RunFolder
from nas_peft.run.search_inputs import SearchInputs
from nas_peft.settings.search_config import SearchConfig
from nas_peft.stages.probe import LEARNING_RATES, Probe, probe
from search_spaces import Architecture
from supernet import Supernet

QUIET = StageBars(quiet=True)


def configured(inputs: SearchInputs, **values: Any) -> SearchInputs:
    return replace(inputs, config=SearchConfig.of(**inputs.config.to_dict() | values))


def run(inputs: SearchInputs, path: Path) -> Probe:
    return probe(Run(inputs, RunFolder.open(path, inputs.config), "cpu", QUIET))


def test_the_rule_chooses_the_learning_rate(tiny_inputs: SearchInputs, tmp_path, monkeypatch):
    """A rate is tried with the scores of its images, and the chosen one is taken."""
    inputs, seen = configured(tiny_inputs, linear_epochs=20), []

    def watched(contestants: Sequence[Contestant]) -> Decision:
        seen.append(contestants)
        return decide(contestants)

    monkeypatch.setattr("nas_peft.stages.probe.decide", watched)
    found = run(inputs, tmp_path / "run")
    recipe, stage = found.recipe, found.record
    assert stage.lrs == list(LEARNING_RATES)
    assert len(set(stage.val_losses)) == len(LEARNING_RATES)
    (contestants,) = seen
    assert [float(c.name) for c in contestants] == stage.lrs
    assert {len(c.hits) for c in contestants} == {len(inputs.dataset.val)}
    assert f"{recipe.lr:g}" == decide(contestants).name
    monkeypatch.undo()
    assert recipe == inputs.config.linear_recipe(stage.lr)
    assert (stage.class_balance, stage.losses_balanced) == ("none", None)
    alone = [run(configured(inputs, linear_lr=lr), tmp_path / str(lr)).record for lr in LEARNING_RATES[:2]]
    assert [s.val_losses[0] for s in alone] == stage.val_losses[:2]


def test_a_given_learning_rate_is_taken(tiny_inputs: SearchInputs, tmp_path):
    found = run(configured(tiny_inputs, linear_lr=0.123), tmp_path / "run")
    recipe, stage = found.recipe, found.record
    assert recipe.lr == stage.lr == 0.123
    assert stage.lrs == [0.123]


def test_the_features_are_those_of_the_backbone_train_then_val(tiny_inputs: SearchInputs, tmp_path):
    found = run(tiny_inputs, tmp_path / "run")
    features, stage = found.features, found.record
    data = tiny_inputs.dataset
    assert len(features) == len(data.train) + len(data.val) == stage.image_passes_forward
    network = Supernet(tiny_inputs.backbone.model, Architecture.empty(8), 3)
    with torch.inference_mode():
        last = network.features(tiny_inputs.preprocessing.normalise(data.val.images[-1:]))
    assert torch.allclose(features[-1:], last, atol=1e-4)
    assert not features.requires_grad


def test_a_finished_probe_is_read(tiny_inputs: SearchInputs, tmp_path):
    first = run(tiny_inputs, tmp_path / "run")
    folder = RunFolder(tmp_path / "run")
    folder.write_stage("probe", first.record.model_copy(update={"lr": 0.5}))
    again = run(tiny_inputs, tmp_path / "run")
    assert again.recipe.lr == 0.5
    assert torch.equal(again.features, first.features)


@pytest.mark.parametrize("seed", sweep([0, 1]))
def test_the_same_seed_gives_the_same_losses(tiny_inputs: SearchInputs, tmp_path, seed: int):
    inputs = configured(tiny_inputs, seed=seed)
    losses = [run(inputs, tmp_path / name).record.val_losses for name in ("a", "b")]
    assert losses[0] == losses[1]


def test_validation_chooses_the_class_balance_with_the_rate(tiny_inputs: SearchInputs, tmp_path: Path):
    """A long tail in training: the metric that counts classes alike prefers a loss that does so."""
    inputs = configured(tiny_inputs, linear_epochs=20)
    labels = inputs.dataset.train.labels
    kept = (labels != 0) | (torch.arange(len(labels)) < 6)
    tail = replace(inputs.dataset, train=inputs.dataset.train.take(kept.nonzero().flatten()))
    balances = {"class_balance": "none,weighted,sampled", "metric": "macro-f1", "linear_lr": 0.01}
    found = run(replace(configured(inputs, **balances), dataset=tail), tmp_path / "run")
    stage = found.record
    assert stage.losses_balanced is not None
    assert list(stage.losses_balanced) == ["none", "weighted", "sampled"]
    assert len({tuple(losses) for losses in stage.losses_balanced.values()}) == 3
    assert stage.val_losses == stage.losses_balanced[stage.class_balance]
    assert found.recipe.class_balance == stage.class_balance
    again = run(replace(configured(inputs, **balances), dataset=tail), tmp_path / "run")
    assert again.recipe == found.recipe
