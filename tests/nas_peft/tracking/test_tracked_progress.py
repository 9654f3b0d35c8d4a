"""What trackers keep of a run: of one that is being done, and of one that has ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from nas_peft.run.progress import ScoredModel, StageBars
from nas_peft.run.results import SearchResult
from nas_peft.tracking.tracked_progress import TrackedProgress
from search_spaces import InputError


class Ledger:
    """A tracker that keeps everything in lists."""

    def __init__(self) -> None:
        self.points: list[tuple[str, dict[str, float], int]] = []
        self.tables: dict[str, Sequence[Mapping[str, Any]]] = {}
        self.files: list[Path] = []
        self.ended: list[bool] = []

    def begin(self, folder: Path, options: Mapping[str, Any]) -> None:
        self.options = dict(options)

    def numbers(self, group: str, values: Mapping[str, float], step: int) -> None:
        self.points.append((group, dict(values), step))

    def table(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        self.tables[name] = rows

    def artifact(self, file: Path) -> None:
        self.files.append(file)

    def end(self, failed: bool) -> None:
        self.ended.append(failed)


class Broken(Ledger):
    """A tracker whose library fails after the beginning."""

    def numbers(self, group: str, values: Mapping[str, float], step: int) -> None:
        raise RuntimeError("the server is gone\nand more")


class Closed(Ledger):
    """A tracker whose library cannot begin."""

    def begin(self, folder: Path, options: Mapping[str, Any]) -> None:
        raise ValueError("no key")


def candidate(number: int, loss: float, **rest: Any) -> ScoredModel:
    fields = {"params": 10, "generation": 0}
    return ScoredModel(
        "candidate", f"candidate-{number}", f"candidate {number}", 0.5, loss, fields=fields, **rest
    )


def training(on: str, loss: float | None, key: str = "e2.crop.lr0.01.seed0") -> ScoredModel:
    fields = {"key": f"lora.{on}.{key}", "on": on, "seed": 0, "train_losses": [2.0, 1.0]}
    accuracy = None if loss is None else 0.75
    return ScoredModel("training", "lora", "LoRA", accuracy, loss, "2 epochs, rate 0.01, crop", fields=fields)


def test_a_run_is_kept_as_its_stages_end(tmp_path: Path) -> None:
    ledger = Ledger()
    with StageBars(quiet=True, also=[TrackedProgress({"ledger": lambda: ledger})]) as bars:
        bars.tell("run", folder=str(tmp_path), config={"seed": 3})
        bars.tell("supernet", name="supernet", train_losses=[1.5, 1.25], found=False)
        bars.scored(candidate(0, 0.5))
        bars.scored(candidate(1, 0.25, eligible=False))
        bars.scored(candidate(2, float("inf")))
        bars.scored(training("train", 0.5))
        bars.scored(training("train_val", None))
    common = {"accuracy": 0.5, "params": 10.0, "generation": 0.0}
    assert ledger.options == {"seed": 3}
    assert ledger.points == [
        ("supernet/supernet", {"train_loss": 1.5}, 1),
        ("supernet/supernet", {"train_loss": 1.25}, 2),
        ("candidates", {"loss": 0.5, **common, "best_loss": 0.5}, 0),
        ("candidates", {"loss": 0.25, **common, "best_loss": 0.5}, 1),
        ("candidates", {**common, "best_loss": 0.5}, 2),
        ("trainings/lora/train.e2.crop.lr0.01.seed0", {"train_loss": 2.0}, 1),
        ("trainings/lora/train.e2.crop.lr0.01.seed0", {"train_loss": 1.0}, 2),
        (
            "trainings/lora/train.e2.crop.lr0.01.seed0",
            {"val_loss": 0.5, "val_accuracy": 0.75},
            2,
        ),
        ("trainings/lora/train_val.e2.crop.lr0.01.seed0", {"train_loss": 2.0}, 1),
        ("trainings/lora/train_val.e2.crop.lr0.01.seed0", {"train_loss": 1.0}, 2),
    ]
    assert (ledger.tables, ledger.files, ledger.ended) == ({}, [], [False])  # the run has no result yet


def test_trainings_that_differ_in_anything_have_curves_of_their_own(tmp_path: Path) -> None:
    """A domain that was left out, initial values and weight decay are in no text of a recipe."""
    keys = [
        "lr0.01.seed0",
        "lr0.01.seed0.init0",
        "wd0.1.lr0.01.seed0",
        "without-photo.lr0.01.seed0",
        "without-a%20b.lr0.01.seed0",
    ]
    ledger = Ledger()
    with StageBars(quiet=True, also=[TrackedProgress({"ledger": lambda: ledger})]) as bars:
        bars.tell("run", folder=str(tmp_path), config={})
        for key in keys:
            bars.scored(training("train", 0.5, key))
    groups = [group for group, values, _ in ledger.points if "val_loss" in values]
    assert groups == [f"trainings/lora/train.{key.replace('%', '-')}" for key in keys]


def test_a_finished_run_is_kept_from_its_folder(finished_run: SearchResult) -> None:
    ledger = Ledger()
    with StageBars(quiet=True, also=[TrackedProgress({"ledger": lambda: ledger})]) as bars:
        bars.tell("run", folder=finished_run.run, config=finished_run.config)
    candidates = [values for group, values, _ in ledger.points if group == "candidates"]
    assert len(candidates) == finished_run.stages["search"].candidates  # type: ignore[attr-defined]
    losses = [v["train_loss"] for g, v, _ in ledger.points if g == "supernet/supernet"]
    assert losses == finished_run.stages["supernet"].supernets[0]["losses"]  # type: ignore[attr-defined]
    trained = {group for group, _, _ in ledger.points if group.startswith("trainings/")}
    files = [file.stem for file in (Path(finished_run.run) / "trainings").glob("*.json")]
    assert trained == {f"trainings/{key.split('.')[0]}/{key.partition('.')[2]}" for key in files}
    assert len(trained) == sum(bool(run.losses) for row in finished_run.rows for run in row.runs)
    rows = {row["row"]: row for row in ledger.tables["rows"]}
    assert rows.keys() == {row.name for row in finished_run.rows}
    assert rows[finished_run.selected.name]["test_accuracy"] == finished_run.selected.mean("test_accuracy")
    assert ledger.files == [Path(finished_run.run) / "subnet.safetensors"]


def test_a_tracker_that_fails_later_is_left_out_with_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ledger, broken = Ledger(), Broken()
    makers = {"broken": lambda: broken, "ledger": lambda: ledger}
    with StageBars(quiet=True, also=[TrackedProgress(makers)]) as bars:
        bars.tell("run", folder=str(tmp_path), config={})
        bars.tell("supernet", name="supernet", train_losses=[1.5, 1.25], found=False)
    (line,) = capsys.readouterr().err.splitlines()
    assert line == (
        "warning: the tracker broken failed and keeps nothing more: the server is gone; the run goes on"
    )
    assert (len(ledger.points), ledger.ended, broken.ended) == (2, [False], [])


@pytest.mark.parametrize("error", [None, InputError("no"), KeyboardInterrupt()])
def test_a_run_that_an_error_ends_is_kept_as_failed(tmp_path: Path, error: BaseException | None) -> None:
    ledger = Ledger()
    progress = TrackedProgress({"ledger": lambda: ledger})
    progress.told("run", {"folder": str(tmp_path), "config": {}})
    progress.stop(error)
    assert ledger.ended == [error is not None]


def test_a_tracker_that_cannot_begin_ends_the_command(tmp_path: Path) -> None:
    with (
        pytest.raises(InputError, match="the tracker closed cannot begin: no key; set it up"),
        StageBars(quiet=True, also=[TrackedProgress({"closed": Closed})]) as bars,
    ):
        bars.tell("run", folder=str(tmp_path), config={})
    assert not list(tmp_path.iterdir())
