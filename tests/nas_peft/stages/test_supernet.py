"""The supernet's training: by two processes as by one, and carried out as the configuration says."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from nas_peft.run.json_file import read_json, write_json
from nas_peft.run.progress import StageBars
from nas_peft.run.run import Run
from nas_peft.run.run_folder import RunFolder
from nas_peft.run.search_inputs import SearchInputs
from nas_peft.run.stage_records import SupernetRecord
from nas_peft.scoring.scorer import LocalScorer
from nas_peft.settings.search_config import SearchConfig
from nas_peft.stages.supernet import read_supernets, train_supernets
from nas_peft.stages.supernet_recipe import judge, judged_subnets
from search_spaces import Architecture, InputError
from supernet import Supernet, pooled_features
from supernet.backbones import weights_digest

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def features(tiny_inputs: SearchInputs) -> torch.Tensor:
    network = Supernet(tiny_inputs.backbone.model, Architecture.empty(8), 3)
    return pooled_features(network, tiny_inputs.dataset.train_val.images, tiny_inputs.preprocessing)


@pytest.fixture
def trained(
    tiny_inputs: SearchInputs,
    tiny_values: dict[str, Any],
    features: torch.Tensor,
    tmp_path: Path,
    counting_bars,
):
    """Trains the tiny supernet with other options: its weights, the stage's record, the progress."""

    def run(**changes: Any):
        config = SearchConfig.of(**tiny_values | changes)
        folder = RunFolder.open(tmp_path / f"run{len(list(tmp_path.iterdir()))}", config)
        bars = counting_bars()
        inputs = replace(tiny_inputs, config=config)
        found = train_supernets(Run(inputs, folder, "cpu", bars), features)
        (fold,), (stage,) = found.folds, found.record.supernets
        supernet = fold.supernet
        assert fold.part is tiny_inputs.dataset.val
        saved = load_file(folder.path / "supernet.safetensors")
        own = supernet.module_tensors(supernet.capacity)
        assert saved.keys() == own.keys()
        assert all(torch.equal(saved[name], value) for name, value in own.items())
        assert folder.read_stage("supernet", SupernetRecord) == stage
        assert list(folder.path.glob("*.state.pt")) == []
        return own, stage, bars.seen

    return run


def difference(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    return max(float((value - other[name]).abs().max()) for name, value in one.items())


@pytest.mark.thorough
def test_two_processes_train_the_supernet_of_one(trained, tiny_inputs: SearchInputs):
    slow = {"supernet_lr": 1e-4, "chooser": "sandwich", "distil": True}
    alone, stage, told = trained(**slow)
    together, same, told_together = trained(**slow, data_parallel=2, micro_batches=2)
    assert same.losses == pytest.approx(stage.losses, rel=1e-4)
    assert same.image_passes == stage.image_passes == 2 * 3 * len(tiny_inputs.dataset.train)
    assert told == told_together == [(0, 2), (1, 2), (2, 2), (2, 2)]
    # AdamW makes steps as long as the learning rate of gradients that are rounding errors
    mean = sum(float((value - together[name]).abs().sum()) for name, value in alone.items())
    assert mean / sum(value.numel() for value in alone.values()) < 1e-6
    assert weights_digest(tiny_inputs.backbone.model) == tiny_inputs.backbone.digest


@pytest.mark.thorough
def test_execution_is_as_asked_for_and_changes_little(trained):
    plain, stage, _ = trained(supernet_lr=1e-3)
    changed, close, _ = trained(supernet_lr=1e-3, micro_batches=3, checkpointing=True)
    assert close.losses == pytest.approx(stage.losses, rel=1e-4)
    assert difference(plain, changed) > 0  # sums of parts are rounded otherwise


def test_folds_share_out_the_training_part_and_the_image_passes(
    tiny_inputs: SearchInputs,
    tiny_values: dict[str, Any],
    features: torch.Tensor,
    tmp_path: Path,
    counting_bars,
):
    config = SearchConfig.of(**tiny_values | {"folds": 3, "supernet_epochs": 2})
    inputs, train_part = replace(tiny_inputs, config=config), tiny_inputs.dataset.train
    folder, bars = RunFolder.open(tmp_path / "run", config), counting_bars()
    found = train_supernets(Run(inputs, folder, "cpu", bars), features)
    folds, stage = found.folds, found.record
    left_out = torch.cat([fold.part.images.flatten(1) for fold in folds])
    assert sorted(map(tuple, left_out.tolist())) == sorted(map(tuple, train_part.images.flatten(1).tolist()))
    assert stage.image_passes == 2 * len(train_part)  # as one supernet of as many epochs
    assert [len(record.losses) for record in stage.supernets] == [1, 1, 1]
    assert bars.seen[-1] == (3, 3)
    weights = [fold.supernet.head.weight for fold in folds]
    assert not torch.equal(weights[0], weights[1])
    again = read_supernets(inputs, folder, "cpu")
    for first, second in zip(folds, again, strict=True):
        assert torch.equal(first.supernet.head.weight, second.supernet.head.weight)
        assert torch.equal(first.part.images, second.part.images)


@pytest.mark.thorough
@pytest.mark.parametrize("folds", [1, 2])
def test_unseen_images_choose_among_supernets_of_several_lengths(
    folds: int,
    tiny_inputs: SearchInputs,
    tiny_values: dict[str, Any],
    features: torch.Tensor,
    tmp_path: Path,
    counting_bars,
):
    config = SearchConfig.of(**tiny_values | {"supernet_epochs": "1,2", "supernet_lr": 0.02, "folds": folds})
    inputs = replace(tiny_inputs, config=config)
    folder, bars = RunFolder.open(tmp_path / "run", config), counting_bars()
    found = train_supernets(Run(inputs, folder, "cpu", bars), features)
    kept, stage = found.folds, found.record
    subnets = judged_subnets(inputs.sampler.sample, config.seed)
    losses = {}
    for epochs in (1, 2):
        alone = SearchConfig.of(**config.to_dict() | {"supernet_epochs": epochs})
        only = RunFolder.open(tmp_path / f"alone{epochs}", alone)
        found = train_supernets(Run(replace(inputs, config=alone), only, "cpu", bars), features).folds
        losses[str(epochs)] = judge(LocalScorer(found, inputs.preprocessing), subnets).loss
        if epochs == stage.epochs:
            for one, other in zip(kept, found, strict=True):
                assert torch.equal(one.supernet.head.weight, other.supernet.head.weight)
    assert stage.losses == losses
    assert stage.epochs == int(min(losses, key=lambda epochs: losses[epochs]))
    assert stage.image_passes == (1 + 2) * len(inputs.dataset.train)
    assert stage.image_passes_forward > 0
    assert bars.seen[-1][0] == bars.seen[-1][1]
    files = sorted(file.name for file in folder.path.glob("supernet*.safetensors"))
    assert len(files) == folds
    assert all(f"-{stage.epochs}-epochs" in name for name in files)
    found = train_supernets(Run(inputs, folder, "cpu", bars), features)
    again, same = found.folds, found.record
    assert same == stage
    for one, other, read in zip(kept, again, read_supernets(inputs, folder, "cpu"), strict=True):
        assert torch.equal(one.supernet.head.weight, other.supernet.head.weight)
        assert torch.equal(one.supernet.head.weight, read.supernet.head.weight)


def test_unseen_images_choose_among_supernets_of_several_augmentations(
    tiny_inputs: SearchInputs,
    tiny_values: dict[str, Any],
    features: torch.Tensor,
    tmp_path: Path,
    counting_bars,
):
    values = tiny_values | {"supernet_epochs": "1,2", "supernet_augmentation": "none,crop"}
    inputs = replace(tiny_inputs, config=SearchConfig.of(**values))
    folder, bars = RunFolder.open(tmp_path / "run", inputs.config), counting_bars()
    found = train_supernets(Run(inputs, folder, "cpu", bars), features)
    stage = found.record
    assert stage.losses is not None
    assert list(stage.losses) == ["1", "1 crop", "2", "2 crop"]
    assert len(set(stage.losses.values())) == 4
    best = min(stage.losses, key=lambda name: stage.losses[name])
    epochs, _, augmentation = best.partition(" ")
    assert (stage.epochs, stage.augmentation) == (int(epochs), augmentation or "none")
    stem = f"supernet-{epochs}-epochs" + (f"-{augmentation}" if augmentation else "")
    assert [file.name for file in folder.path.glob("*.safetensors")] == [f"{stem}.safetensors"]
    (again,) = read_supernets(inputs, folder, "cpu")
    assert torch.equal(again.supernet.head.weight, found.folds[0].supernet.head.weight)


@pytest.mark.thorough
def test_a_choice_of_version_0_1_is_read(
    tiny_inputs: SearchInputs,
    tiny_values: dict[str, Any],
    features: torch.Tensor,
    tmp_path: Path,
    counting_bars,
):
    inputs = replace(tiny_inputs, config=SearchConfig.of(**tiny_values | {"supernet_epochs": "1,2"}))
    folder, bars = RunFolder.open(tmp_path / "run", inputs.config), counting_bars()
    found = train_supernets(Run(inputs, folder, "cpu", bars), features)
    now = folder.path / "stages" / "supernet-recipe.json"
    recorded = read_json(now)
    assert recorded is not None
    now.unlink()
    del recorded["augmentation"]
    write_json(folder.path / "stages" / "supernet-length.json", recorded)
    again = train_supernets(Run(inputs, folder, "cpu", bars), features)
    assert again.record == found.record


def test_supernets_that_were_not_chosen_from_are_not_read(
    tiny_inputs: SearchInputs, tiny_values: dict[str, Any], tmp_path: Path
):
    config = SearchConfig.of(**tiny_values | {"supernet_epochs": "1,2"})
    folder = RunFolder.open(tmp_path / "run", config)
    with pytest.raises(InputError, match="has not finished training its supernet"):
        read_supernets(replace(tiny_inputs, config=config), folder, "cpu")


def test_an_unfinished_supernet_is_not_read(tiny_inputs: SearchInputs, tmp_path: Path):
    folder = RunFolder.open(tmp_path / "run", tiny_inputs.config)
    with pytest.raises(InputError, match="has not finished training its supernet; first repeat the same"):
        read_supernets(tiny_inputs, folder, "cpu")


def test_more_folds_than_images_are_refused(
    tiny_inputs: SearchInputs, tiny_values: dict[str, Any], features: torch.Tensor, tmp_path: Path
):
    config = SearchConfig.of(**tiny_values | {"folds": 1000})
    inputs = replace(tiny_inputs, config=config)
    folder = RunFolder.open(tmp_path / "run", config)
    with pytest.raises(InputError, match=r"folds is 1000, but the training set has \d+ images; give fewer"):
        train_supernets(Run(inputs, folder, "cpu", StageBars(quiet=True)), features)
