"""The robust choice taken apart, on a run folder with made-up scores."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.robustness_study.ablation import BASE, WAYS, Way, main, replayed
from benchmarks.robustness_study.rule_splits import Trained
from nas_peft.training.image_scores import ImageScores

Scores = Callable[[int, int], ImageScores]


@pytest.fixture
def run(tmp_path: Path, scores: Scores) -> Path:
    """AugMix holds better, and LoRA alone by AugMix holds best; as they are, the searched subnet is ahead."""
    folder = tmp_path / "runs" / "digits-seed1-robust-0" / "trainings"
    folder.mkdir(parents=True)
    for name, wrong, wrong_copies in (
        ("candidate-3.train.lr0.1.seed0", 0, 30),
        ("candidate-3.train.augmix.lr0.1.seed0", 0, 10),
        ("lora_rank-35.train.lr0.1.seed0", 6, 34),
        ("lora_rank-35.train.augmix.lr0.1.seed0", 0, 4),
    ):
        (folder / f"{name}.val.safetensors").write_bytes(scores(wrong, wrong_copies).data)
    return folder.parent


def test_each_way_has_its_own_trainings(scores: Scores):
    trained = [Trained("candidate-3", scores(0, 0), False), Trained("lora_rank-35", scores(0, 0), True)]

    def taken(*way: str) -> list[bool]:
        return [Way(*way).takes(training) for training in trained]

    assert taken("robust", "none or AugMix", "all") == [True, True]
    assert taken("robust", "AugMix", "all") == taken("robust", "none or AugMix", "LoRA") == [False, True]
    assert taken("robust", "none", "all") == taken("robust", "none or AugMix", "searched") == [True, False]


def test_rule_and_augmentation_are_told_apart(run: Path):
    found = replayed(run, 10)
    assert found[BASE] == pytest.approx((100, 25), abs=6)
    assert found[Way("robust", "none or AugMix", "all")] == pytest.approx((100, 90), abs=6)
    assert found[Way("robust", "none", "all")] == pytest.approx((100, 25), abs=6)
    assert found[Way("robust", "none or AugMix", "searched")] == pytest.approx((100, 75), abs=6)
    assert found[Way("ordinary", "AugMix", "LoRA")][1] == pytest.approx(90, abs=6)


def test_every_way_is_written(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "out.json"
    assert main(["--store", str(run.parents[1]), "--splits", "2", "--out", str(out)]) == 0
    report = json.loads(out.read_text(encoding="utf-8"))
    assert [(line["task"], line["seed"]) for line in report["lines"]] == [("digits", 1)] * len(WAYS)
    assert "| ordinary | none | all |" in capsys.readouterr().out
    assert main(["--store", str(tmp_path / "nothing")]) == 2
    assert "there is no robust run" in capsys.readouterr().err
