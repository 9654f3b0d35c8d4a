"""Measures are scikit-learn's, and intervals hold them."""

import numpy as np
import pytest
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
    assert found.overall["macro_f1"].known_interval is None
    assert found.to_dict()["classes"][0]["f1_interval"] is None


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
