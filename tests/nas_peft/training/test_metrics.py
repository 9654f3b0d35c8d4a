"""Metrics beside scikit-learn, and their spread beside the bootstrap."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score, log_loss, recall_score
from sweep import sweep

from nas_peft.settings.metric import METRICS, Metric
from nas_peft.training.image_scores import ImageScores
from nas_peft.training.metrics import (
    evaluation_recalls,
    evaluation_score,
    image_values,
    mean_score,
    recalls,
    resampled,
)
from supernet import Evaluation


def scores_of(images: int, classes: int, seed: int, skill: float = 1.5) -> ImageScores:
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet(np.full(classes, 0.7))
    labels = rng.choice(classes, images, p=shares)
    logits = rng.normal(size=(images, classes)) + skill * np.eye(classes)[labels]
    return ImageScores.of(torch.tensor(logits), torch.tensor(labels))


def by_sklearn(metric: Metric, labels: np.ndarray, predicted: np.ndarray, losses: np.ndarray) -> float:
    present = np.unique(labels)
    if metric == "accuracy":
        return float(accuracy_score(labels, predicted))
    if metric == "balanced-accuracy":
        return float(recall_score(labels, predicted, labels=present, average="macro", zero_division=0))
    if metric == "macro-f1":
        return float(f1_score(labels, predicted, labels=present, average="macro", zero_division=0))
    return -float(losses.mean())


@pytest.mark.thorough
@settings(max_examples=40)
@given(images=st.integers(2, 60), classes=st.integers(2, 7), seed=st.integers(0, 999))
def test_values_and_resamples_are_scikit_learns(images: int, classes: int, seed: int) -> None:
    scores = scores_of(images, classes, seed)
    labels, predicted = scores.labels, scores.logits.argmax(axis=1)
    chosen = np.random.default_rng(seed).integers(0, images, (3, images))
    weights = np.stack([np.bincount(rows, minlength=images) for rows in chosen]).astype(float)
    for metric in METRICS:
        losses = scores.calibrated_losses
        whole = by_sklearn(metric, labels, predicted, losses)
        assert image_values(metric, scores).mean() == pytest.approx(whole, abs=1e-9)
        assert mean_score(metric, [scores, scores]) == pytest.approx(whole, abs=1e-9)
        expected = [by_sklearn(metric, labels[rows], predicted[rows], losses[rows]) for rows in chosen]
        assert resampled(metric, weights, scores) == pytest.approx(np.array(expected), abs=1e-9)


@pytest.mark.parametrize("metric", sweep(METRICS))
def test_the_spread_of_the_values_is_that_of_the_bootstrap(metric: Metric) -> None:
    """Of a difference between two networks on the same images, too."""
    ours, rng = scores_of(600, 4, 3), np.random.default_rng(0)
    logits = ours.logits + rng.normal(size=ours.logits.shape)
    theirs = ImageScores.of(torch.tensor(logits), torch.tensor(ours.labels))
    weights = rng.multinomial(600, np.full(600, 1 / 600), size=2000).astype(float)
    drawn = resampled(metric, weights, ours) - resampled(metric, weights, theirs)
    values = image_values(metric, ours) - image_values(metric, theirs)
    assert values.std(ddof=1) / 600**0.5 == pytest.approx(drawn.std(), rel=0.1)


def test_evaluations_have_the_same_metrics_and_the_recall_of_each_class() -> None:
    scores = scores_of(200, 5, 2)
    labels, predicted = scores.labels, scores.logits.argmax(axis=1)
    found = Evaluation(
        torch.tensor(scores.losses),
        torch.tensor(scores.hits),
        labels=torch.tensor(labels),
        predicted=torch.tensor(predicted),
    )
    for metric in METRICS:
        expected = by_sklearn(metric, labels, predicted, scores.losses)
        assert evaluation_score(metric, found) == pytest.approx(expected, abs=1e-6)
    present = np.unique(labels)
    assert len(present) == 5
    assert evaluation_score("balanced-accuracy", found) == pytest.approx(
        balanced_accuracy_score(labels, predicted)
    )
    probabilities = np.exp(scores.logits - scores.logits.max(1, keepdims=True))
    probabilities /= probabilities.sum(1, keepdims=True)
    assert -evaluation_score("log-loss", found) == pytest.approx(
        log_loss(labels, probabilities, labels=range(5))
    )
    of_classes = recall_score(labels, predicted, labels=present, average=None)
    assert [r for r in evaluation_recalls(found, 6) if r is not None] == pytest.approx(of_classes.tolist())
    assert recalls(labels, predicted, 6)[5] is None
    with pytest.raises(ValueError, match="need the labels"):
        evaluation_score("macro-f1", Evaluation(torch.zeros(1), torch.ones(1, dtype=torch.bool)))
