"""wandb's own reader finds in the offline file what was kept; the extra ``thorough`` installs wandb."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.thorough


def records(content: bytes) -> Iterator[bytes]:
    """The records of a file of wandb, which is a log of LevelDB after seven bytes."""
    place, parts = 7, b""
    while place + 7 <= len(content):
        if (left := 2**15 - place % 2**15) < 7:  # too little for a header: the block's end is padding
            place += left
            continue
        _, size, kind = struct.unpack_from("<IHB", content, place)
        parts += content[place + 7 : place + 7 + size]
        place += 7 + size
        if kind in (1, 4):  # a whole record, or the last part of one
            yield parts
            parts = b""


@pytest.mark.parametrize("failed", [False, True])
def test_an_offline_run_has_what_was_kept(
    failed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import wandb
    from wandb.proto.wandb_internal_pb2 import Record

    from nas_peft.tracking.wandb_tracker import WandbTracker

    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("WANDB_DATA_DIR", str(tmp_path / "data"))
    (folder := tmp_path / "digits").mkdir()
    (folder / "subnet.safetensors").write_bytes(b"weights")
    tracker = WandbTracker()
    tracker.begin(folder, {"seed": 0})
    for step, loss in enumerate((1.5, 1.25), 1):
        tracker.numbers("supernet/supernet", {"train_loss": loss}, step)
    tracker.numbers("supernet/supernet", {"val_loss": 1.0}, 2)  # a name that the group had not before
    tracker.numbers("candidates", {"loss": 0.5}, 0)  # steps that begin anew
    tracker.table("rows", [{"row": "a", "test_accuracy": None}])
    tracker.artifact(folder / "subnet.safetensors")
    tracker.end(failed)
    wandb.teardown()  # as at the end of a process: the service has then written its file

    (file,) = folder.glob("wandb/offline-run-*/run-*.wandb")
    logged, kinds, steps = [], set(), {}
    for data in records(file.read_bytes()):
        record = Record()
        record.ParseFromString(data)
        kinds.add(record.WhichOneof("record_type"))
        if record.WhichOneof("record_type") == "metric":
            steps[record.metric.name] = record.metric.step_metric
        if record.WhichOneof("record_type") == "exit":
            assert bool(record.exit.exit_code) == failed
        if record.WhichOneof("record_type") == "history":
            items = {item.key or "/".join(item.nested_key): item for item in record.history.item}
            logged.append({key: json.loads(item.value_json) for key, item in items.items()})
    points = [{k: v for k, v in line.items() if not k.startswith("_")} for line in logged]
    assert points[:4] == [
        {"supernet/supernet/step": 1, "supernet/supernet/train_loss": 1.5},
        {"supernet/supernet/step": 2, "supernet/supernet/train_loss": 1.25},
        {"supernet/supernet/step": 2, "supernet/supernet/val_loss": 1.0},
        {"candidates/step": 0, "candidates/loss": 0.5},
    ]
    assert any(key.startswith("rows") for key in points[4])
    assert {"run", "metric", "artifact", "exit"} <= kinds
    named = {name.replace("\\", ""): step.replace("\\", "") for name, step in steps.items()}
    assert named["supernet/supernet/val_loss"] == named["supernet/supernet/train_loss"]
    assert named["supernet/supernet/val_loss"] == "supernet/supernet/step"
