"""The folder of states: used only where it is the run's own."""

from pathlib import Path

from nas_peft.training.state_folder import StateFolder, state_file
from nas_peft.training.training import Training
from search_spaces import Architecture
from supernet import Recipe

TRAINING = Training("linear", "linear", Architecture.empty(4), Recipe(1, 0.1), None, 0, "train")


def test_a_state_lies_beside_the_records_of_the_run_that_is_seen(tmp_path: Path):
    (tmp_path / "config.yaml").write_text("dataset: digits\n")
    states = StateFolder.of(tmp_path)
    assert states.seen()
    assert states.file(TRAINING) == state_file(tmp_path, TRAINING)
    assert states.file(TRAINING) == tmp_path / "trainings" / "linear.train.lr0.1.seed0.state.pt"


def test_a_folder_of_another_run_at_the_same_place_is_not_written_to(tmp_path: Path):
    (tmp_path / "config.yaml").write_text("dataset: digits\n")
    states = StateFolder.of(tmp_path)
    (tmp_path / "config.yaml").write_text("dataset: others\n")
    assert not states.seen()
    assert states.file(TRAINING) is None
    (tmp_path / "config.yaml").unlink()
    assert states.file(TRAINING) is None
