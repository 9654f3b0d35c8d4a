"""The statistics of the study of choosers, against values computed by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.chooser_study.report import report_on
from benchmarks.chooser_study.run import main
from benchmarks.harness.finished_table import FinishedTable
from search_spaces import Architecture, InputError


class ByHand:
    """A table of four architectures and a study of two supernets, with numbers to reckon with."""

    sizes = (1, 2, 3, 4)  # LoRA ranks in one layer; 512 parameters each; the first two are `spread`
    accuracy = ((0.5, 0.6, 0.7, 0.8), (0.5, 0.7, 0.6, 0.8))  # of the two seeds; mean .5 .65 .65 .8
    loss = ((4.0, 3.0, 2.0, 1.0), (4.0, 3.0, 2.0, 1.0))

    def __init__(self, folder: Path) -> None:
        self.table = folder / "table.jsonl"
        self.study = folder / "study.jsonl"
        results = {"backbone": {"name": "b", "digest": "d"}, "tasks": {"digits": "f"}}
        self.table.with_suffix(".json").write_text(json.dumps({"results": results}))
        with self.table.open("w") as file:
            for seed in (0, 1):
                for i, size in enumerate(self.sizes):
                    line = self.architecture(size) | {"task": "digits", "seed": seed}
                    line |= {"val_accuracy": self.accuracy[seed][i], "val_loss": self.loss[seed][i]}
                    line |= {"test_accuracy": 0.9, "test_loss": self.loss[seed][3 - i]}
                    file.write(json.dumps(line) + "\n")
        found = FinishedTable.read(self.table)
        architectures = [
            {"group": e.group, "params": p} | e.architecture.to_dict()
            for e, p in zip(found.entries, found.params, strict=True)
        ]
        ranges = {"space": [0, 10_000], "budget": [1_024, 1_536]}
        setup = {"results": {"table": results, "architectures": architectures, "ranges": ranges}}
        setup |= {"machine": {}, "versions": {}}
        self.study.with_suffix(".json").write_text(json.dumps(setup))
        # the table's order: by group, then by parameters, so sizes 3, 4 (equal) before 1, 2 (spread)
        scores = {"val_accuracy": [0.4, 0.5, 0.1, 0.2], "val_loss": [2.0, 1.0, 3.0, 4.0]}
        scores |= {"test_accuracy": [0.4, 0.4, 0.4, 0.4], "test_loss": [1.0, 2.0, 3.0, 4.0]}
        with self.study.open("w") as file:
            for chooser in ("one-path-uniform", "one-path-budget"):
                line = {"task": "digits", "chooser": chooser, "epochs": 10, "seed": 0, "trained_epochs": 10}
                line |= {"image_passes": 100, "seconds": 1.0, "diverged": None, "scores": scores}
                file.write(json.dumps(line) + "\n")

    def architecture(self, size: int) -> dict[str, Any]:
        group = "spread" if size < 3 else "equal"
        a = Architecture.of(2, {"lora_rank": [size, 0]})
        return {"group": group, "architecture": a.to_dict(), "params": 512 * size}

    def report(self) -> dict[str, Any]:
        assert main(["--report", f"--table={self.table}", f"--out={self.study}"]) == 0
        found: dict[str, Any] = json.loads(self.study.with_suffix(".report.json").read_text())
        return found


def test_statistics_by_hand(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = ByHand(tmp_path).report()
    uniform, budget = report["rows"]
    of_all, of_equal = uniform["tau"]["validation"]["all"], uniform["tau"]["validation"]["equal"]
    # alone, sizes 1 2 3 4: accuracies .5 .65 .65 .8; inherited .1 .2 .4 .5: 5 pairs agree, one is tied alone
    assert of_all["val_accuracy"]["val_accuracy"]["tau"] == pytest.approx(5 / (6 * 5) ** 0.5)
    # inherited losses 3 4 2 1 against losses 4 3 2 1: one of six pairs is the wrong way round
    assert of_all["val_loss"]["val_loss"]["tau"] == pytest.approx(4 / 6)
    assert of_equal["val_accuracy"]["val_accuracy"]["tau"] == pytest.approx(1)
    low, high = (of_all["val_loss"]["val_loss"][end] for end in ("low", "high"))
    assert low < 4 / 6 <= high
    # test: accuracies alone are all .9, and losses the other way round
    judged = uniform["tau"]["test"]["all"]
    assert judged["val_accuracy"]["test_accuracy"] == {"tau": None, "low": None, "high": None}
    # inherited 3 4 1 2 against 1 2 3 4: two of six pairs agree
    assert judged["test_loss"]["test_loss"]["tau"] == pytest.approx(-2 / 6)
    # parameters: sizes 1 2 3 4 against accuracies .5 .65 .65 .8
    about = report["tasks"]["digits"]
    by_size = about["tau_of_parameters"]["validation"]["all"]["val_accuracy"]
    assert by_size["val_accuracy"]["tau"] == pytest.approx(5 / (6 * 5) ** 0.5)
    assert by_size["val_loss"]["tau"] == pytest.approx(1)
    # seeds: .5 .6 .7 .8 and .5 .7 .6 .8 have one pair of six the other way round
    assert about["tau_between_seeds"]["all"]["val_accuracy"] == pytest.approx(4 / 6)
    assert about["tau_between_seeds"]["equal"]["val_accuracy"] == pytest.approx(1)
    assert about["table_seeds"] == 2
    # accuracies; the budget's range holds sizes 2 and 3
    inside = budget["accuracy"]["validation"]["in_range"]
    assert inside == {"architectures": 2, "inherited": pytest.approx(0.3), "alone": pytest.approx(0.65)}
    everywhere = uniform["accuracy"]["validation"]["in_range"]
    assert everywhere["inherited"] == pytest.approx(0.3)
    assert everywhere["architectures"] == 4
    assert uniform["accuracy"]["test"]["equal"] == {"architectures": 2, "inherited": 0.4, "alone": 0.9}
    assert (uniform["outside_never_trained"], budget["outside_never_trained"]) == (0, 2)
    printed = " ".join(capsys.readouterr().out.split())
    assert "FOR JUDGING AFTERWARDS ONLY" in printed
    assert "were never trained" in printed


def test_means_over_tasks_and_seeds(tmp_path: Path) -> None:
    hand = ByHand(tmp_path)
    lines = [json.loads(line) for line in hand.study.read_text().splitlines()[:1]]
    worse = json.loads(json.dumps(lines[0])) | {"seed": 1}
    worse["scores"]["val_accuracy"].reverse()
    setup = json.loads(hand.study.with_suffix(".json").read_text())
    report = report_on(FinishedTable.read(hand.table), [lines[0], worse], setup)
    (row,) = report["rows"]
    assert row["seeds"] == [0, 1]
    taus = row["tau"]["validation"]["all"]["val_accuracy"]["val_accuracy"]
    # reversed, in the table's order 3 4 1 2: .2 .1 .5 .4, so sizes 1 2 3 4 have .5 .4 .2 .1
    assert taus["tau"] == pytest.approx(0, abs=1e-9)
    assert row["accuracy"]["validation"]["all"]["inherited"] == pytest.approx(0.3)
    (mean,) = report["means_over_tasks"]["rows"]
    assert mean["tau"] == row["tau"]
    assert report["means_over_tasks"]["tau_between_seeds"] == report["tasks"]["digits"]["tau_between_seeds"]


def test_a_report_is_of_the_studys_own_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hand = ByHand(tmp_path)
    lines = hand.table.read_text().splitlines(keepends=True)
    hand.table.write_text("".join(line for line in lines if '"lora_rank": [4, 0]' not in line))
    assert main(["--report", f"--table={hand.table}", f"--out={hand.study}"]) == 2
    assert "another table" in capsys.readouterr().err


def test_only_whole_seeds_of_the_table_count(tmp_path: Path) -> None:
    hand = ByHand(tmp_path)
    lines = hand.table.read_text().splitlines(keepends=True)
    hand.table.write_text("".join(lines[:-1]))
    table = FinishedTable.read(hand.table)
    assert table.columns("digits")["val_accuracy"].tolist() == [[0.7, 0.8, 0.5, 0.6]]
    hand.table.write_text("".join(lines[1:4] + lines[4:7]))
    with pytest.raises(InputError, match="to its end first"):
        FinishedTable.read(hand.table).columns("digits")
