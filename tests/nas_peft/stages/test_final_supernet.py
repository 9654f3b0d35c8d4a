"""What searched subnets are trained on from: weights of supernets that have seen the same images."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from nas_peft.run.inherited_starts import InheritedStarts
from nas_peft.run.run import Run
from nas_peft.run.run_folder import RunFolder
from nas_peft.run.search_inputs import SearchInputs
from nas_peft.run.stage_records import SupernetRecord
from nas_peft.scoring.inherited_network import inherited_tensors
from nas_peft.scoring.scorer import Fold
from nas_peft.settings.search_config import SearchConfig
from nas_peft.stages.final_supernet import FINAL_SUPERNET, inherited_starts
from nas_peft.stages.supernet import train_supernets
from search_spaces.streams import stream
from supernet import Supernet
from supernet.backbones import weights_digest

pytestmark = pytest.mark.slow


@pytest.fixture
def started(
    tiny_inputs: SearchInputs,
    tiny_values: dict[str, Any],
    features: torch.Tensor,
    tmp_path: Path,
    counting_bars,
):
    """Trains supernets with further options, and what a subnet starts from: the run, supernets and starts."""

    def of(**changes: Any):
        config = SearchConfig.of(**tiny_values | {"start": "inherited"} | changes)
        inputs = replace(tiny_inputs, config=config)
        run = Run(inputs, RunFolder.open(tmp_path / "run", config), "cpu", counting_bars())
        supernets = train_supernets(run, features).folds
        subnet = inputs.space.sample(stream(0, "subnet"))
        starts = inherited_starts(run, features, {"candidate-1": subnet}, supernets, {})
        return run, subnet, supernets, starts

    return of


def equal(one: Any, other: Any) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_final_models_start_from_a_supernet_of_all_images_but_the_test_set_s(started, features: torch.Tensor):
    run, subnet, supernets, starts = started()
    data = run.inputs.dataset
    (own,) = run.folder.path.glob("supernet-final.safetensors")
    record = run.folder.required_stage("supernet-final", SupernetRecord)
    epochs = run.inputs.config.supernet_recipes()[0].epochs
    assert record.image_passes == epochs * (len(data.train) + len(data.val))
    assert run.costs.to_dict()[FINAL_SUPERNET].image_passes == record.image_passes
    assert run.bars.seen[-1] == (epochs, epochs)
    network = Supernet(run.inputs.backbone.model, run.inputs.space.largest(), len(data.classes))
    network.load_module_tensors(load_file(own))
    assert equal(starts.of("candidate-1", "train_val"), inherited_tensors([Fold(network, data.val)], subnet))
    assert equal(starts.of("candidate-1", "train"), inherited_tensors(supernets, subnet))
    assert not equal(starts.of("candidate-1", "train"), starts.of("candidate-1", "train_val"))
    assert not data.test.opened
    assert weights_digest(run.inputs.backbone.model) == run.inputs.backbone.digest
    again = inherited_starts(run, features, {"candidate-1": subnet}, supernets, {})
    assert equal(again.of("candidate-1", "train_val"), starts.of("candidate-1", "train_val"))
    assert run.folder.required_stage("supernet-final", SupernetRecord) == record  # read, not trained again
    without = inherited_starts(run, features, {"candidate-1": subnet}, supernets, {"photo": supernets[0]})
    assert isinstance(without, InheritedStarts)
    assert equal(without.of_domain("photo").of("candidate-1", "train"), starts.of("candidate-1", "train"))


@pytest.mark.parametrize(
    ("changes", "epochs"),
    [({"folds": 3, "supernet_epochs": 4}, 2), ({"supernet_epochs": "1,2", "supernet_lr": 0.02}, None)],
    ids=["folds", "lengths"],
)
def test_it_is_trained_as_long_as_the_supernets_whose_weights_are_inherited(
    started, changes: dict[str, Any], epochs: int | None
):
    run, _, _, _ = started(**changes)
    record = run.folder.required_stage("supernet-final", SupernetRecord)
    if epochs is None:
        (kept,) = run.folder.path.glob("supernet-*-epochs.safetensors")
        epochs = int(kept.name.split("-")[1])
    assert len(record.losses) == epochs
