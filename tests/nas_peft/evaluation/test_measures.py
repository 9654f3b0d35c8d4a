"""Measures are scikit-learn's, and intervals hold them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from nas_peft.evaluation.measures import BINS, calibration_error, measure
from nas_peft.training.temperature import fit_temperature

CLASSES = tuple("abcdefgh")


@pytest.fixture(scope="module")
def scores():
    """Logits of a classifier that is right about half of the time and too sure, with uneven classes."""
    rng = np.random.default_rng(0)
    labels = rng.choice(7, 300, p=[0.4, 0.2, 0.1, 0.1, 0.1, 0.05, 0.05])  # class h has no images
    logits = rng.normal(0, 2, (300, 8))
    logits[np.arange(300), labels] += 3
    return logits * 2, labels


def test_overall_measures_are_those_of_scikit_learn(scores):
    logits, labels = scores
    predicted = logits.argmax(axis=1)
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities = odds / odds.sum(axis=1, keepdims=True)
    found = measure(logits, labels, CLASSES, None).overall
    recalls = metrics.recall_score(labels, predicted, labels=range(7), average=None)
    expected = {
        "accuracy": metrics.accuracy_score(labels, predicted),
        "balanced_accuracy": recalls.mean(),
        "macro_f1": metrics.f1_score(labels, predicted, labels=range(7), average="macro"),
        "top5_accuracy": metrics.top_k_accuracy_score(labels, logits, k=5, labels=range(8)),
        "log_loss": metrics.log_loss(labels, probabilities, labels=range(8)),
    }
    assert {name: found[name].value for name in expected} == pytest.approx(expected)
    assert set(found) == {*expected, "calibration_error"}
    for one in found.values():
        assert one.interval[0] <= one.interval[1]
    low, high = found["accuracy"].interval
    assert low < found["accuracy"].value < high
    assert high - low == pytest.approx(2 * 1.96 * (0.25 / 300) ** 0.5, rel=0.25)


def test_classes_and_confusion(scores):
    logits, labels = scores
    found = measure(logits, labels, CLASSES, None)
    assert found.confusion.sum(axis=1).tolist() == [*np.bincount(labels, minlength=8)]
    first = found.classes[0]
    assert first.recall.value == pytest.approx(found.confusion[0, 0] / first.images)
    assert first.precision.value == pytest.approx(found.confusion[0, 0] / found.confusion[:, 0].sum())
    assert found.classes[7].images == 0
    assert found.to_dict()["classes"][7]["recall"] is None
    assert found.to_dict()["classes"][7]["recall_interval"] is None
    expected = metrics.precision_recall_fscore_support(labels, logits.argmax(axis=1), labels=range(7))
    for place, name in enumerate(("precision", "recall", "f1")):
        measures = [getattr(c, name) for c in found.classes[:7]]
        assert [m.value for m in measures] == pytest.approx(expected[place])
        assert all(m.interval[0] <= m.value <= m.interval[1] for m in measures)
    low, high = first.recall.interval
    share = first.recall.value
    assert high - low == pytest.approx(2 * 1.96 * (share * (1 - share) / first.images) ** 0.5, rel=0.25)


def test_few_images_are_not_certain(scores):
    """Twelve images that are all right leave room for mistakes on others."""
    labels = np.arange(12) % 3
    found = measure(10 * np.eye(3)[labels], labels, ("a", "b", "c"), None)
    assert found.overall["accuracy"].interval == pytest.approx((0.757, 1), abs=1e-3)
    assert found.classes[0].recall.interval == found.classes[0].precision.interval
    assert found.classes[0].recall.interval == pytest.approx((0.510, 1), abs=1e-3)
    assert found.overall["macro_f1"].interval == pytest.approx((0.813, 1), abs=1e-3)
    assert found.to_dict()["classes"][0]["f1_interval"] == pytest.approx([0.676, 1], abs=1e-3)
    assert found.overall["log_loss"].known_interval is None  # the same for each image


def test_the_temperature_lowers_loss_and_calibration_error(scores):
    logits, labels = scores
    found = measure(logits, labels, CLASSES, fit_temperature(logits, labels)).overall
    assert found["log_loss_calibrated"].value < found["log_loss"].value
    assert found["calibration_error_calibrated"].value < found["calibration_error"].value


def test_calibration_error_by_hand():
    confidence = np.array([0.95, 0.95, 0.55, 0.55])
    hits = np.array([True, False, True, False])
    assert BINS == 15
    assert calibration_error(confidence, hits) == pytest.approx((0.45 + 0.05) / 2)
    assert calibration_error(np.ones(3), np.ones(3, dtype=bool)) == 0


@given(st.integers(1, 400), st.integers(2, 7), st.integers(0, 10**6))
@settings(max_examples=15, deadline=None)
def test_no_share_without_mistakes_is_called_certain(images: int, classes: int, seed: int):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, images)
    logits = np.eye(classes)[labels] * 9.0
    found = measure(logits, labels, CLASSES[:classes], None)
    for name in ("accuracy", "balanced_accuracy", "macro_f1"):
        low, high = found.overall[name].interval
        assert low < found.overall[name].value == 1
        assert high == pytest.approx(1)
    assert found.overall["accuracy"].interval[0] == pytest.approx(images / (images + 1.96**2), abs=1e-4)
    for one in found.classes:
        for of in (one.precision, one.recall, one.f1):
            assert np.isnan(of.value) if not one.images else of.interval[0] < of.value == 1


@pytest.mark.thorough
def test_intervals_hold_the_expected_values_as_often_as_they_say():
    """200 draws of 60 images: each mean is within its interval in 95% of them, give or take the noise."""
    rng = np.random.default_rng(1)
    chances = np.array([0.95, 0.8, 0.6])
    held = dict.fromkeys(("accuracy", "balanced_accuracy", "macro_f1"), 0)
    population = np.repeat(np.arange(3), 20)

    def draw() -> tuple[np.ndarray, np.ndarray]:
        wrong = rng.random(60) > chances[population]
        predicted = np.where(wrong, (population + rng.integers(1, 3, 60)) % 3, population)
        return np.eye(3)[predicted], population

    many = [(m.argmax(axis=1), labels) for m, labels in (draw() for _ in range(3000))]
    expected = {
        "accuracy": chances.mean(),
        "balanced_accuracy": chances.mean(),
        "macro_f1": np.mean([metrics.f1_score(labels, p, average="macro") for p, labels in many]),
    }
    for _ in range(200):
        found = measure(*draw(), CLASSES[:3], None).overall
        for name in held:
            low, high = found[name].interval
            held[name] += low <= expected[name] <= high
    assert all(183 <= count <= 200 for count in held.values()), held
