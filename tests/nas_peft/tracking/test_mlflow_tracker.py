"""MLflow's own client finds in a local store what was kept; the extra ``thorough`` installs it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytestmark = pytest.mark.thorough


@pytest.mark.parametrize(("failed", "status"), [(False, "FINISHED"), (True, "FAILED")])
def test_a_local_store_has_what_was_kept(
    failed: bool, status: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nas_peft.tracking.mlflow_tracker import MlflowTracker

    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"file://{tmp_path}/store")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    (folder := tmp_path / "digits").mkdir()
    (folder / "subnet.safetensors").write_bytes(b"weights")
    tracker = MlflowTracker()
    tracker.begin(folder, {"seed": 0, "dataset": "x" * 9000})
    for step, loss in enumerate((1.5, 1.25), 1):
        tracker.numbers("trainings/full/train.2-epochs-rate-0.01.seed0", {"train_loss": loss}, step)
    tracker.table("rows", [{"row": "a", "test_accuracy": None}])
    tracker.artifact(folder / "subnet.safetensors")
    tracker.end(failed)

    from mlflow.tracking import MlflowClient

    client = MlflowClient()
    experiment = client.get_experiment_by_name("nas-peft")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    assert (run.info.run_name, run.info.status, run.data.params["seed"]) == ("digits", status, "0")
    history = client.get_metric_history(
        run.info.run_id, "trainings/full/train.2-epochs-rate-0.01.seed0/train_loss"
    )
    assert [(point.step, point.value) for point in history] == [(1, 1.5), (2, 1.25)]
    kept = Path(run.info.artifact_uri.removeprefix("file://"))
    assert json.loads((kept / "rows.json").read_text()) == {"rows": [{"row": "a", "test_accuracy": None}]}
    assert (kept / "subnet.safetensors").read_bytes() == b"weights"
