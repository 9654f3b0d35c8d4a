"""Trainings end with the same bits whichever ran before them, in this process or another, stopped or not."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmarks.faults.hostile.ground import SHORT, Ground
from nas_peft.protocol.rows import Row, baseline_rows
from nas_peft.run.progress import StageBars
from nas_peft.run.search_inputs import SearchInputs
from nas_peft.run.training_inputs import TrainingInputs
from nas_peft.settings.search_config import SearchConfig
from nas_peft.training.training import Training
from nas_peft.training.training_record import TrainingRecord
from nas_peft.training.trainings import run_training
from search_spaces import Architecture
from supernet import Recipe, Supernet, pooled_features

PROBE = Recipe(epochs=2, lr=1e-2, batch_size=4)
Outcome = tuple[TrainingRecord, bytes]


@pytest.fixture
def inputs(good: Ground) -> TrainingInputs:
    config = SearchConfig.of(
        dataset=str(good.images), **{name.replace("-", "_"): value for name, value in SHORT.items()}
    )
    loaded = SearchInputs.load(config.on("cpu"), StageBars(quiet=True))
    data, backbone, preprocessing = loaded.dataset, loaded.backbone, loaded.preprocessing
    network = Supernet(backbone.model, Architecture.empty(8), 2)
    features = pooled_features(network, data.train_val.images, preprocessing)
    return TrainingInputs(backbone, preprocessing, 2, data.train, data.val, features)


@pytest.fixture
def trainings() -> list[Training]:
    config = SearchConfig.of(dataset="digits", epochs=(2,), batch_size=4).on("cpu")
    subnet = Row("lora_rank-2", "single", "subnet", Architecture.uniform(8, "lora_rank", 2))
    rows = [subnet, *baseline_rows(config, 8)]
    return [training for row in rows for training in row.trainings(config, PROBE, [0], "train")]


def outcome(record: TrainingRecord, tensors: bytes) -> Outcome:
    curve = record.curve and replace(record.curve, seconds=0.0)
    return replace(record, curve=curve, peak_memory=None), tensors


def outcomes(trainings: list[Training], inputs: TrainingInputs) -> dict[str, Outcome]:
    found = {}
    for training in trainings:
        found[training.key] = outcome(*run_training(training, inputs, "cpu"))
        torch.rand(3)  # whoever draws from the process's own generator disturbs nothing
    return found


@pytest.mark.slow
def test_no_order_and_no_stop_changes_a_bit(
    inputs: TrainingInputs, trainings: list[Training], tmp_path: Path
) -> None:
    first = outcomes(trainings, inputs)
    assert len({tuple(record.curve.losses) for record, _ in first.values() if record.curve}) == len(trainings)
    torch.manual_seed(5)
    assert outcomes(trainings[::-1], inputs) == first

    def stop(record: TrainingRecord) -> None:
        raise KeyboardInterrupt

    for training in trainings:
        file = tmp_path / f"{training.key}.state.pt"
        with pytest.raises(KeyboardInterrupt):
            run_training(training, inputs, "cpu", on_epoch=stop, state_file=file, save_every=0.0)
        stopped = run_training(training, inputs, "cpu", state_file=file, save_every=0.0)
        assert outcome(*stopped) == first[training.key]
