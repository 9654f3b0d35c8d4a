"""The study of choosers: its trainings on real images, resuming, and what it refuses."""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

import benchmarks.chooser_study.study as chooser_study
from benchmarks import architecture_table
from benchmarks.chooser_study.run import main
from benchmarks.chooser_study.ways import WAYS
from supernet import Constant, NonFiniteLoss

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def table(insects: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four architectures, two seeds, one epoch."""
    out = tmp_path_factory.mktemp("table") / "table.jsonl"
    options = ["--limit=2", "--seeds=2", "--epochs=1", f"--out={out}", "--device=cpu"]
    assert architecture_table.main([f"--task={insects}", *options]) == 0
    return out


@pytest.fixture(scope="module")
def study(insects: Path, table: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every chooser for one pass of the images, and two of them for three."""
    out = tmp_path_factory.mktemp("study") / "study.jsonl"
    assert main(options(insects, table, out, "--epochs=1")) == 0
    two = ["--chooser=sandwich-uniform", "--chooser=one-per-image-budget"]
    assert main(options(insects, table, out, "--epochs=3", *two)) == 0
    return out


def options(task: Path, table: Path, out: Path, *more: str) -> list[str]:
    return [f"--task={task}", f"--table={table}", f"--out={out}", "--device=cpu", *more]


def lines_of(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.read_text().splitlines()]


def measured(line: dict[str, Any]) -> dict[str, Any]:
    """A line without what differs from run to run."""
    return {key: value for key, value in line.items() if not key.endswith("seconds")}


def mistake(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    """The one line that the script says about it."""
    assert main(list(argv)) == 2
    *_, line = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    return line


@pytest.mark.thorough
def test_a_line_for_each_supernet(study: Path) -> None:
    lines = lines_of(study)
    assert [line["chooser"] for line in lines[: len(WAYS)]] == list(WAYS)
    assert [(line["chooser"], line["epochs"]) for line in lines[len(WAYS) :]] == [
        ("sandwich-uniform", 3),
        ("one-per-image-budget", 3),
    ]
    for line in lines:
        assert (line["task"], line["seed"], line["diverged"]) == ("insects", 0, None)
        assert set(line["scores"]) == {"val_accuracy", "val_loss", "test_accuracy", "test_loss"}
        assert all(len(scores) == 4 for scores in line["scores"].values())
        assert line["seconds"] > 0


@pytest.mark.thorough
def test_cost_is_equal_image_passes(study: Path) -> None:
    passes = {(line["chooser"], line["epochs"]): line["image_passes"] for line in lines_of(study)}
    assert passes["sandwich-uniform", 3] == passes["one-per-image-budget", 3] == 3 * 19
    trained = {(line["chooser"], line["epochs"]): line["trained_epochs"] for line in lines_of(study)}
    assert trained["sandwich-uniform", 3] == 1
    assert WAYS["sandwich-uniform"].epochs(100) == 33
    assert WAYS["one-path-uniform"].epochs(100) == 100


@pytest.mark.thorough
def test_ways_differ_and_the_setup_is_beside_the_lines(study: Path, table: Path, insects: Path) -> None:
    losses = [tuple(line["scores"]["val_loss"]) for line in lines_of(study)]
    assert len(set(losses)) == len(losses) - 1  # the sandwich of one epoch is the same for 1 and 3 passes
    text = study.with_suffix(".json").read_text()
    setup = json.loads(text)
    assert setup["results"]["table"] == json.loads(table.with_suffix(".json").read_text())["results"]
    assert setup["results"]["ranges"]["budget"] == [4830, 12076]
    assert setup["versions"]["torch"] == torch.__version__
    assert str(insects.parent) not in text + study.read_text()


@pytest.mark.thorough
def test_a_killed_study_goes_on(
    study: Path, insects: Path, table: Path, tmp_path: Path, run_program: Callable[..., Any]
) -> None:
    out = tmp_path / "study.jsonl"
    shutil.copy(study.with_suffix(".json"), out.with_suffix(".json"))
    whole = study.read_text().splitlines(keepends=True)
    kept = len(WAYS) - 2
    out.write_text("".join(whole[:kept]) + whole[kept][:50])
    more = options(insects, table, out, "--epochs=1", "--workers=2")
    done = run_program("-m", "benchmarks.chooser_study", *more, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert "2 supernets to train" in done.stderr
    assert "1 left" in done.stderr
    assert lines_of(out)[:kept] == lines_of(study)[:kept]
    again, before_kill = (
        sorted((measured(line) for line in lines), key=lambda line: line["chooser"])
        for lines in (lines_of(out)[kept:], lines_of(study)[kept : len(WAYS)])
    )
    for line, before in zip(again, before_kill, strict=True):
        assert line["chooser"] == before["chooser"]
        for score, values in before["scores"].items():
            assert line["scores"][score] == pytest.approx(values, abs=1e-3)


@pytest.mark.thorough
def test_a_finished_study_is_not_done_again(study: Path, insects: Path, table: Path) -> None:
    before = study.read_text()
    assert main(options(insects, table, study, "--epochs=1")) == 0
    assert study.read_text() == before


@pytest.mark.thorough
def test_another_setup_is_refused(
    study: Path, insects: Path, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "study.jsonl"
    shutil.copy(study, out)
    setup = json.loads(study.with_suffix(".json").read_text())
    setup["results"]["recipe"]["lr"] = 1.0
    out.with_suffix(".json").write_text(json.dumps(setup))
    assert "another setup" in mistake(capsys, *options(insects, table, out, "--epochs=1"))
    assert out.read_text() == study.read_text()


def test_the_data_must_be_those_of_the_table(
    insects: Path, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "insects"
    shutil.copytree(insects, other)
    Image.new("RGB", (32, 32)).save(other / "ant" / "00.png")
    out = tmp_path / "study.jsonl"
    assert "are not those of the table" in mistake(capsys, *options(other, table, out, "--epochs=1"))
    other.rename(tmp_path / "beetles")
    said = mistake(capsys, *options(tmp_path / "beetles", table, out, "--epochs=1"))
    assert "'beetles'" in said
    assert "insects" in said
    assert not out.exists()


@pytest.mark.parametrize(
    ("more", "named"),
    [
        (["--chooser=one-per-imag-budget"], "one-per-image-budget"),
        (["--epochs=0"], "--epochs"),
        (["--workers=0"], "--workers"),
        (["--table=nowhere.jsonl"], "nowhere.jsonl"),
        (["--report"], "--task, --device"),
    ],
)
def test_mistakes(
    more: list[str],
    named: str,
    insects: Path,
    table: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "study.jsonl"
    assert named in mistake(capsys, *options(insects, table, out), *more)
    assert not out.exists()


def test_a_report_needs_a_study(table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = mistake(capsys, "--report", f"--table={table}", f"--out={tmp_path / 'none.jsonl'}")
    assert "without --report first" in said


@pytest.mark.thorough
def test_a_training_that_diverges_is_a_result(
    insects: Path,
    table: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def train(*arguments: Any, **named: Any) -> None:
        raise NonFiniteLoss("the loss is nan at step 3 of 9")

    monkeypatch.setattr(chooser_study, "train", train)
    out = tmp_path / "study.jsonl"
    one = "--chooser=one-path-uniform"
    assert main(options(insects, table, out, "--epochs=1", one)) == 0
    (line,) = lines_of(out)
    assert (line["diverged"], line["scores"]) == ("the loss is nan at step 3 of 9", None)
    assert main(["--report", f"--table={table}", f"--out={out}"]) == 0
    assert "the loss is nan" in capsys.readouterr().out


@pytest.mark.thorough
def test_the_estimate_follows_what_was_measured(insects: Path, table: Path) -> None:
    args = argparse.Namespace(table=table, task=[str(insects)], device="cpu")
    one = chooser_study.ChooserStudy.load(args).tasks["insects"]
    line = {"task": "insects", "chooser": "one-path-budget", "image_passes": 380, "seconds": 38.0}
    line |= {"scoring_seconds": 5.0, "scores": {"val_loss": [1.0]}}
    job = chooser_study.ChooserJob("insects", "one-path-budget", 30, 0, "fp32")
    assert chooser_study.seconds_of(job, one, 4, [line], 2) == pytest.approx(30 * 19 * 0.1 + 5)
    guess = 30 * 19 * 2 * 1.2 / 1000 + 4 * (5 + 6) * 2 * 0.5 / 1000
    assert chooser_study.seconds_of(job, one, 4, [], 2) == pytest.approx(guess)


def test_the_test_part_is_never_trained_on(
    insects: Path, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, bool]] = []
    original = chooser_study.train

    def train(network: Any, images: Any, *arguments: Any, **named: Any) -> Any:
        seen.append((len(images), isinstance(named["chooser"], Constant)))
        return original(network, images, *arguments, **named)

    monkeypatch.setattr(chooser_study, "train", train)
    one = ["--epochs=1", "--chooser=one-path-budget"]
    assert main(options(insects, table, tmp_path / "study.jsonl", *one)) == 0
    assert seen == [(19, False)]


@pytest.mark.thorough
def test_the_report_of_a_real_study(study: Path, table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--report", f"--table={table}", f"--out={study}"]) == 0
    report = json.loads(study.with_suffix(".report.json").read_text())
    assert len(report["rows"]) == len(WAYS) + 2
    assert report["rows"][0]["tau"]["validation"]["all"].keys() == {"val_accuracy", "val_loss"}
    assert report["rows"][0]["tau"]["test"]["all"].keys() == {"val_accuracy", "val_loss", "test_loss"}
    printed = capsys.readouterr().out
    for way in WAYS:
        assert way in printed
