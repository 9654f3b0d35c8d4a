"""Half-splits of the robust rule on a run folder with made-up scores."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmarks.robustness_study.rule_splits import chosen, contestants, half, main, trainings_of
from nas_peft.corruptions.catalogue import corruptions_for
from nas_peft.training.image_scores import ImageScores

IMAGES = 40
COPIES = len(corruptions_for("choice"))

Scores = Callable[[int, int], ImageScores]


@pytest.fixture
def run(tmp_path: Path, scores: Scores) -> Path:
    """A row that is accurate by one recipe and holds by another, and two trainings that do not count."""
    folder = tmp_path / "runs" / "digits-seed0-robust-0" / "trainings"
    folder.mkdir(parents=True)
    for name, wrong, wrong_copies in (
        ("lora.train.lr0.1.seed0", 4, 24),
        ("lora.train.augmix.lr0.1.seed0", 6, 8),
        ("lora.train.lr0.1.seed1.init0", 0, 0),
        ("lora.train.without-photo.lr0.1.seed0", 0, 0),
    ):
        (folder / f"{name}.val.safetensors").write_bytes(scores(wrong, wrong_copies).data)
    return folder.parent


def test_a_half_has_the_copies_of_its_own_images(scores: Scores):
    at = np.array([1, 5, 30])
    found = half(scores(3, 6), at)
    assert found.labels.tolist() == [1, 1, 2]
    assert found.hits.tolist() == [False, True, True]
    logits, labels = found.shifted
    assert labels.tolist() == [1, 1, 2] * COPIES
    assert (logits.argmax(1) == labels).tolist() == [False, False, True] * COPIES


def test_a_rule_that_allows_more_errors_takes_what_holds_better(run: Path):
    trained = trainings_of(run)
    assert [(training.row, training.augmix) for training in trained] == [("lora", True), ("lora", False)]
    rivals = contestants(trained, np.arange(IMAGES))
    holds = next(n for n, training in enumerate(trained) if training.images.shifted_accuracy == 0.8)
    assert chosen(trained, rivals, 0.0, 9.0) == 1 - holds
    assert chosen(trained, rivals, 3.0, 9.0) == holds


def test_the_table_has_each_rule(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    options = ["--store", str(run.parents[1]), "--splits", "3", "--out", str(tmp_path / "out.json")]
    assert main(options) == 0
    assert capsys.readouterr().out.count("| 0.05 |") == 5
    assert main(["--store", str(tmp_path / "nothing")]) == 2
    assert "there is no robust run" in capsys.readouterr().err
