"""The supernet's training: by two processes as by one, and carried out as the configuration says."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from nas_peft.run.run import Run
from nas_peft.run.run_folder import RunFolder
from nas_peft.run.search_inputs import SearchInputs
from nas_peft.run.stage_records import SupernetRecord
from nas_peft.settings.search_config import SearchConfig
from nas_peft.stages.supernet import train_supernets
from supernet.backbones import weights_digest

pytestmark = pytest.mark.slow


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
