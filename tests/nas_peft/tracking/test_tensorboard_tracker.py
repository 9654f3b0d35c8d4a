"""TensorBoard's own reader finds in the files what was kept."""

from __future__ import annotations

from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from nas_peft.tracking.tensorboard_tracker import TensorBoardTracker


def keep(folder: Path) -> None:
    tracker = TensorBoardTracker()
    tracker.begin(folder, {"seed": 0})
    for step, loss in enumerate((1.5, 1.25), 1):
        tracker.numbers("supernet/supernet", {"train_loss": loss}, step)
    tracker.table("rows", [{"row": "lora|a", "test_accuracy": 0.98765}, {"row": "b", "test_accuracy": None}])
    (folder / "subnet.safetensors").write_bytes(bytes(1234))
    tracker.artifact(folder / "subnet.safetensors")
    tracker.end(failed=False)


def test_the_files_are_read_back_and_a_second_start_doubles_nothing(tmp_path: Path) -> None:
    for _ in range(2):
        keep(tmp_path)
    read = EventAccumulator(str(tmp_path / "tensorboard"))
    read.Reload()
    losses = read.Scalars("supernet/supernet/train_loss")
    assert [(event.step, event.value) for event in losses] == [(1, 1.5), (2, 1.25)]
    texts = {
        tag.removesuffix("/text_summary"): read.Tensors(tag)[0].tensor_proto.string_val[0].decode()
        for tag in read.Tags()["tensors"]
    }
    assert texts["rows"].splitlines() == [
        "|row|test_accuracy|",
        "|---|---|",
        "|lora\\|a|0.9877|",
        "|b||",
    ]
    assert "seed: 0" in texts["options"]
    assert "1,234 bytes" in texts["files/subnet.safetensors"]
