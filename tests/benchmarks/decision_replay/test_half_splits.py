"""Half-splits of finished runs, written by hand: the rules see one half and are judged on the other."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.decision_replay import half_splits as study
from benchmarks.decision_replay.half_splits import WAYS, half_splits, read_run
from benchmarks.harness.half_rules import RULES, Half
from nas_peft.training.image_scores import ImageScores
from search_spaces import InputError


def scores(accuracy: float, confidence: float, seed: int, images: int = 40) -> ImageScores:
    """Two classes; a share ``accuracy`` of the images is right, all with the same confidence."""
    rng = np.random.default_rng(seed)
    right = rng.permutation(np.arange(images) < round(accuracy * images))
    labels = rng.integers(0, 2, images)
    logits = np.zeros((images, 2))
    logits[np.arange(images), np.where(right, labels, 1 - labels)] = confidence
    return ImageScores.of(torch.tensor(logits), torch.tensor(labels))


def write_run(folder: Path, trainings: dict[str, tuple[str, str, ImageScores | None]], **more: Any) -> Path:
    """A finished run: of each training, by key, the row, its group, and the scores of images."""
    (folder / "trainings").mkdir(parents=True)
    rows = {row: group for row, group, _ in trainings.values()}
    content = {
        "config": {"seed": 0},
        "rows": [
            {"name": row, "group": group, "module_params": 10, "averaging": None}
            for row, group in rows.items()
        ],
    }
    (folder / "results.json").write_text(json.dumps(content))
    for key, (row, _, images) in trainings.items():
        record = {"name": row, "seed": 0} | more
        (folder / "trainings" / f"{key}.json").write_text(json.dumps(record))
        if images is not None:
            (folder / "trainings" / f"{key}.val.safetensors").write_bytes(images.data)
    return folder


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A method that is right more often and too sure of itself, and one that is neither; two rates each."""
    return write_run(
        tmp_path / "run",
        {
            "sure.train.lr1.seed0": ("sure", "single", scores(0.9, 20.0, 0)),
            "sure.train.lr2.seed0": ("sure", "single", scores(0.9, 20.0, 0)),
            "modest.train.lr1.seed0": ("modest", "single", scores(0.6, 0.5, 1)),
            "modest.train.lr2.seed0": ("modest", "single", scores(0.6, 0.5, 1)),
            "full.train.lr1.seed0": ("full", "baseline", scores(0.95, 1.0, 2)),
            "full.train.lr2.seed0": ("full", "baseline", scores(0.5, 1.0, 3)),
        },
    )


def test_the_lowest_loss_takes_the_modest_and_accuracy_or_calibration_the_better(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(study, "SPLITS", 10)
    found = half_splits({"run": read_run(run)})
    ways = {way: {rule: row["accuracy"] for rule, row in found[way].items()} for way in WAYS}
    exportable = ways["exportable"]
    assert exportable["lowest loss"] < 70
    assert exportable["within 0.5 s.e., then calibrated loss"] > 80
    assert exportable["lowest calibrated loss"] > exportable["lowest loss"] + 5
    assert ways["all"]["within 0 s.e., then loss"] > 85
    gain = found["exportable"]["lowest calibrated loss"]["gain_on_lowest_loss"]
    assert gain == pytest.approx(exportable["lowest calibrated loss"] - exportable["lowest loss"])
    assert found["exportable"]["lowest calibrated loss"]["gain_se"] is None  # one run
    assert ways["rates"]["lowest loss"] == pytest.approx((90 + 60 + 95) / 3, abs=3)
    assert len(found["trainings"]) == 6
    sure = next(line for line in found["trainings"] if line["training"] == "sure.train.lr1.seed0")
    assert (sure["run"], sure["accuracy"], sure["params"]) == ("run", 0.9, 10)
    assert sure["calibrated_loss"] < sure["loss"]


def test_rules_see_the_half_that_they_choose_on(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study, "SPLITS", 2)
    seen: list[int] = []

    def watching(halves: list[Half]) -> str:
        seen.extend(len(half.hits) for half in halves)
        return halves[0].name

    monkeypatch.setattr(study, "RULES", {"lowest loss": watching})
    half_splits({"run": read_run(run)})
    assert set(seen) == {20}


def test_of_trainings_that_cannot_be_told_apart_the_cheaper_is_chosen() -> None:
    images = scores(0.8, 2.0, 0)
    halves = [
        Half(name, params, images.hits.astype(float), images.losses, images.losses)
        for name, params in (("a", 9), ("b", 1))
    ]
    rule = "within 0.5 s.e., then calibrated loss within as many, then params"
    assert RULES[rule](halves) == "b"
    assert RULES["within 0.5 s.e., then loss"](halves) == "a"


def test_what_is_no_run_or_kept_nothing_is_refused(tmp_path: Path, run: Path) -> None:
    with pytest.raises(InputError, match=r"has no results\.json; give --runs"):
        read_run(tmp_path)
    (run / "trainings" / "sure.train.lr1.seed0.val.safetensors").unlink()
    with pytest.raises(InputError, match="the run kept no scores of images"):
        read_run(run)
    alone = write_run(tmp_path / "alone", {"a.train.lr1.seed0": ("a", "single", scores(0.5, 1.0, 0))})
    with pytest.raises(InputError, match="fewer than two rows"):
        read_run(alone)


def test_stopped_trainings_and_other_seeds_are_left_out(tmp_path: Path) -> None:
    trainings = {f"{row}.train.lr1.seed0": (row, "single", scores(0.5, 1.0, 0)) for row in ("a", "b")}
    with pytest.raises(InputError, match="fewer than two rows"):
        read_run(write_run(tmp_path / "stopped", trainings, stopped_at=1))
    with pytest.raises(InputError, match="fewer than two rows"):
        read_run(write_run(tmp_path / "other", trainings, seed=1))
    found = read_run(write_run(tmp_path / "run", trainings))
    with pytest.raises(InputError, match="one learning rate for each row"):
        half_splits({"run": found})
