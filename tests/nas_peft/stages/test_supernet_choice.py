"""The choice among supernets of several recipes."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from nas_peft.run.json_file import read_json, write_json
from nas_peft.run.run import Run
from nas_peft.run.run_folder import RunFolder
from nas_peft.run.search_inputs import SearchInputs
from nas_peft.scoring.scorer import LocalScorer
from nas_peft.settings.search_config import SearchConfig
from nas_peft.stages.supernet import read_supernets, train_supernets
from nas_peft.stages.supernet_recipe import judge, judged_subnets
from search_spaces import InputError

pytestmark = pytest.mark.slow


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
