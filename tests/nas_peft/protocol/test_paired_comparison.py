"""The chosen searched subnet against the best single method."""

from statistics import stdev

import pytest
import torch

from nas_peft.protocol.decision_words import paired_sentence
from nas_peft.protocol.paired_comparison import compare_pair
from nas_peft.protocol.rows import Row
from search_spaces import Architecture
from supernet import Evaluation

OURS = Row("candidate-3", "searched", "subnet", Architecture.of(2, {"lora_rank": [1, 0]}))
SINGLE = Row("lora_rank-2", "single", "subnet", Architecture.uniform(2, "lora_rank", 2))
LABELS = {"candidate-3": "searched subnet", "lora_rank-2": "LoRA alone"}


def evaluation(right: list[int], of: int = 20) -> Evaluation:
    hits = torch.zeros(of, dtype=torch.bool)
    hits[right] = True
    return Evaluation(torch.zeros(of), hits)


def test_differences_are_paired_by_seed():
    tests = {
        (OURS, 0): evaluation(list(range(15))),
        (SINGLE, 0): evaluation(list(range(10))),
        (OURS, 1): evaluation(list(range(12))),
        (SINGLE, 1): evaluation(list(range(11))),
    }
    pair = compare_pair(OURS, SINGLE, [0, 1], tests)
    assert pair.differences == pytest.approx([0.25, 0.05])
    assert pair.difference == pytest.approx(0.15)
    assert pair.standard_error == pytest.approx(stdev([0.25, 0.05]) / 2**0.5)
    assert (pair.searched, pair.single, pair.images) == ("candidate-3", "lora_rank-2", 20)
    # five images only ours gets right, none only theirs: 2 · (1/2)^5
    assert (pair.searched_only, pair.single_only) == (5, 0)
    assert pair.p_value == pytest.approx(2 / 32)
    text = paired_sentence(pair, LABELS)
    assert "searched subnet against LoRA alone" in text
    assert "+15.0 ± 10.0 (standard error) points of test accuracy, 2 seeds" in text
    assert "of 20 images with seed 0, 5 are right with the former only and 0 with the latter only" in text
    assert "p = 0.062" in text


def test_both_sides_of_the_disagreement_count():
    tests = {(OURS, 0): evaluation([0, 1, 2, 9]), (SINGLE, 0): evaluation([2, 3, 4, 5, 6, 7, 8])}
    pair = compare_pair(OURS, SINGLE, [0], tests)
    assert (pair.searched_only, pair.single_only) == (3, 6)
    assert pair.p_value == pytest.approx(2 * (1 + 9 + 36 + 84) / 512)
    assert pair.standard_error is None
    assert "± " not in paired_sentence(pair, LABELS)
    assert "-15.0 points of test accuracy, 1 seed;" in paired_sentence(pair, LABELS)


def test_equal_hits_tell_nothing():
    tests = {(row, 0): evaluation([1, 2]) for row in (OURS, SINGLE)}
    pair = compare_pair(OURS, SINGLE, [0], tests)
    assert (pair.difference, pair.searched_only, pair.single_only, pair.p_value) == (0.0, 0, 0, 1.0)


def test_another_metric_has_an_interval_by_resampling_images():
    labels = torch.tensor([0] * 60 + [1] * 20)
    ours, theirs = labels.clone(), labels.clone()
    ours[:12] = 1
    theirs[60:74] = 0
    tests = {
        (row, 0): Evaluation(torch.zeros(80), predicted == labels, labels=labels, predicted=predicted)
        for row, predicted in ((OURS, ours), (SINGLE, theirs))
    }
    pair = compare_pair(OURS, SINGLE, [0], tests, "balanced-accuracy")
    assert pair.difference == pytest.approx((48 / 60 + 1) / 2 - (1 + 6 / 20) / 2)
    assert pair.interval is not None
    low, high = pair.interval
    assert 0 < low < pair.difference < high < 0.5
    assert (pair.searched_only, pair.single_only) == (14, 12)
    assert compare_pair(OURS, SINGLE, [0], tests, "balanced-accuracy") == pair
    text = paired_sentence(pair, LABELS)
    assert "+25.0 (95% +1" in text
    assert "over the images of seed 0) points of test balanced accuracy, 1 seed;" in text
    assert compare_pair(OURS, SINGLE, [0], tests).interval is None
