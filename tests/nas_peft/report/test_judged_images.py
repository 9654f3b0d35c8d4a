"""The exported subnet on the run's own images: the accuracies that the run recorded."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from nas_peft.report.judged_images import confusions, judged_test_images, judged_validation_images
from nas_peft.report.reported_run import ReportedRun
from nas_peft.run.progress import StageBars


def test_the_test_images_are_those_of_the_run(run: ReportedRun):
    judged = judged_test_images(run, None, "cpu", StageBars(quiet=True))
    accuracy = float((judged.logits.argmax(axis=1) == judged.labels).mean())
    assert accuracy == pytest.approx(run.selected.seeds[0].test_accuracy)
    assert len(judged.items) == len(judged.labels) == run.result.dataset["counts"]["test"]
    assert judged.remark == ""
    assert np.allclose(judged.probabilities.sum(axis=1), 1)
    wrong = sum(images for _, _, images, _ in confusions(judged, 100))
    assert wrong == round((1 - accuracy) * len(judged.labels))


def test_the_images_are_found_from_another_folder(run: ReportedRun, tmp_path: Path, monkeypatch):
    """The command named them by a path that is relative to where it was given."""
    data = Path(str(run.options["dataset"]))
    inputs = run.inputs.model_copy(update={"started_in": str(data.parent)})
    moved = dataclasses.replace(run, options={**run.options, "dataset": data.name}, inputs=inputs)
    monkeypatch.chdir(tmp_path)
    judged = judged_test_images(moved, None, "cpu", StageBars(quiet=True))
    assert len(judged.items) == run.result.dataset["counts"]["test"]
    assert judged.remark == ""


def test_another_accuracy_than_the_recorded_one_is_said(run: ReportedRun):
    row = run.selected
    other = row.seeds[0].model_copy(update={"test_accuracy": 1 - row.seeds[0].test_accuracy})
    rows = [r.model_copy(update={"seeds": [other]}) if r.selected else r for r in run.result.rows]
    changed = dataclasses.replace(run, result=run.result.model_copy(update={"rows": rows}))
    judged = judged_test_images(changed, None, "cpu", StageBars(quiet=True))
    assert f"and the run recorded {100 * other.test_accuracy:.1f}%" in judged.remark


def test_the_kept_validation_scores_are_those_of_the_exported_row(run: ReportedRun):
    judged = judged_validation_images(run)
    assert judged is not None
    accuracy = float((judged.logits.argmax(axis=1) == judged.labels).mean())
    assert accuracy == pytest.approx(run.selected.seeds[0].val_accuracy)
    assert judged.items == ()
    assert judged.temperature is None
