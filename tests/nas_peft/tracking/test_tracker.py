"""Trackers by name: the option, its mistakes before any work, and a finished run told anew."""

from __future__ import annotations

from pathlib import Path
from shutil import copytree

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from typer.testing import CliRunner

from nas_peft.cli.app import app
from nas_peft.deployment.extra import EXTRAS
from nas_peft.run.results import SearchResult
from nas_peft.settings import lists
from nas_peft.tracking.tracker import TRACKERS


def test_the_option_knows_the_trackers_and_their_extras() -> None:
    assert set(lists.TRACKERS) == set(TRACKERS) <= set(EXTRAS)


@pytest.mark.parametrize(
    ("name", "message"),
    [("comet", "tensorboard"), ("tensorboard", "pip install 'nas-peft[tensorboard]'")],
)
def test_a_tracker_that_is_not_there_is_refused_before_the_work(
    name: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(EXTRAS, "tensorboard", ("no_such_library",))
    words = ["--dataset", "digits", "--tracker", name, "--out", str(tmp_path / "run")]
    result = CliRunner().invoke(app, ["search", *words])
    assert (result.exit_code, result.stdout) == (2, ""), result.output
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ")
    assert message in line
    assert not (tmp_path / "run").exists()


def test_a_finished_run_is_told_to_tensorboard(finished_run: SearchResult, tmp_path: Path) -> None:
    run = copytree(finished_run.run, tmp_path / "run")
    words = ["--config", str(run / "config.yaml"), "--tracker", "tensorboard", "--quiet"]
    result = CliRunner().invoke(app, ["search", *words])
    assert result.exit_code == 0, result.output
    read = EventAccumulator(str(run / "tensorboard"))
    read.Reload()
    candidates = finished_run.stages["search"].model_extra or {}
    assert len(read.Scalars("candidates/loss")) == candidates["candidates"]
    assert any(tag.startswith("trainings/full/") for tag in read.Tags()["scalars"])
    table = read.Tensors("rows/text_summary")[0].tensor_proto.string_val[0].decode()
    assert finished_run.selected.label in table
