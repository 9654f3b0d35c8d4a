"""What tests of trainings share: the inputs of a small run, and a folder for it."""

from pathlib import Path

import pytest

from nas_peft.run.run_folder import RunFolder
from nas_peft.run.search_inputs import SearchInputs
from nas_peft.run.training_inputs import TrainingInputs
from nas_peft.settings.search_config import SearchConfig
from search_spaces import Architecture
from supernet import Supernet, pooled_features


@pytest.fixture(scope="session")
def shared(tiny_inputs: SearchInputs) -> TrainingInputs:
    """Inputs of trainings on the tiny data set, without what subnets inherit."""
    network = Supernet(tiny_inputs.backbone.model, Architecture.empty(8), 3)
    images = tiny_inputs.dataset.train_val.images
    return tiny_inputs.for_trainings(pooled_features(network, images, tiny_inputs.preprocessing))


@pytest.fixture
def folder(tmp_path: Path, tiny_config: SearchConfig) -> RunFolder:
    """The folder of a tiny run that has just begun."""
    return RunFolder.open(tmp_path / "run", tiny_config)
