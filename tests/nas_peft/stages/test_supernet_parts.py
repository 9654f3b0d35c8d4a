"""The images of each supernet of a run."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from nas_peft.run.progress import StageBars
from nas_peft.run.run import Run
from nas_peft.run.run_folder import RunFolder
from nas_peft.run.search_inputs import SearchInputs
from nas_peft.settings.search_config import SearchConfig
from nas_peft.stages.supernet import read_supernets, train_supernets
from search_spaces import InputError

pytestmark = pytest.mark.slow


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


def test_more_folds_than_images_are_refused(
    tiny_inputs: SearchInputs, tiny_values: dict[str, Any], features: torch.Tensor, tmp_path: Path
):
    config = SearchConfig.of(**tiny_values | {"folds": 1000})
    inputs = replace(tiny_inputs, config=config)
    folder = RunFolder.open(tmp_path / "run", config)
    with pytest.raises(InputError, match=r"folds is 1000, but the training set has \d+ images; give fewer"):
        train_supernets(Run(inputs, folder, "cpu", StageBars(quiet=True)), features)
