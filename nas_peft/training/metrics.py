"""Accuracy, balanced accuracy, macro F1 and log loss: of a data set, of each image, and of resamples.

Classes without images are left out of the two means over classes. Higher is better throughout: the log loss
counts with a minus sign. scikit-learn computes the same values (tests/nas_peft/training/test_metrics.py); the
forms here are those that resampling needs.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nas_peft.settings.metric import Metric
from nas_peft.training.image_scores import ImageScores
from nas_peft.training.temperature import Labels
from supernet import Evaluation

Floats = NDArray[np.float64]


def balanced_accuracy(right: Floats, true: Floats) -> Floats:
    """Mean recall over the classes with images; ``right`` and ``true`` are counts ``(…, C)``."""
    return _over_present(right / np.where(true > 0, true, 1), true)


def macro_f1(right: Floats, true: Floats, claimed: Floats) -> Floats:
    """Mean F1 over the classes with images; counts ``(…, C)`` of right, true and predicted images."""
    return _over_present(2 * right / np.where(true > 0, true + claimed, 1), true)


def recalls(labels: Labels, predicted: Labels, classes: int) -> list[float | None]:
    """Share of each class's images that are classified correctly; ``None`` for a class without images."""
    true = np.bincount(labels, minlength=classes)
    right = np.bincount(labels[labels == predicted], minlength=classes)
    return [int(r) / int(t) if t else None for r, t in zip(right, true, strict=True)]


def score(metric: Metric, labels: Labels, predicted: Labels, losses: Floats) -> float:
    """The metric of predicted classes ``(N,)`` and losses ``(N,)``, which only the log loss reads."""
    return float(_of_weights(metric, np.ones((1, len(labels))), labels, predicted, -losses)[0])


def evaluation_score(metric: Metric, found: Evaluation) -> float:
    """The metric of a network by its evaluation."""
    if metric == "accuracy":
        return found.accuracy
    labels, predicted = _classes(found)
    return score(metric, labels, predicted, found.losses.double().numpy())


def evaluation_recalls(found: Evaluation, classes: int) -> list[float | None]:
    """`recalls` by an evaluation."""
    return recalls(*_classes(found), classes)


def evaluation_resampled(metric: Metric, weights: Floats, found: Evaluation) -> Floats:
    """The metric ``(R,)`` of resamples with the ``weights (R, N)`` of the images."""
    return _of_weights(metric, weights, *_classes(found), -found.losses.double().numpy())


def _classes(found: Evaluation) -> tuple[Labels, Labels]:
    """True and predicted classes ``(N,)``."""
    if found.labels is None or found.predicted is None:
        raise ValueError("measures of classes need the labels and the predicted classes of the images")
    return found.labels.numpy(), found.predicted.numpy()


def image_values(metric: Metric, scores: ImageScores) -> Floats:
    """Values ``(N,)`` of the images whose mean is the metric, and whose spread is that of the metric.

    For accuracy and log loss these are hits and losses. For a mean over classes the value of an image is the
    metric plus N times the change of the metric by the image's weight (the infinitesimal jackknife, Efron
    1982): the standard error of the mean is then that of the bootstrap to first order, and differences of two
    networks are paired by image. The losses are those after temperature scaling on other images.
    """
    if metric == "accuracy":
        return scores.hits.astype(np.float64)
    if metric == "log-loss":
        return -scores.calibrated_losses
    labels, predicted = scores.labels, scores.logits.argmax(axis=1)
    classes = scores.logits.shape[1]
    true, right = np.bincount(labels, minlength=classes), scores.hits
    share = len(labels) / (true > 0).sum()
    recall = np.bincount(labels, right, minlength=classes) / np.maximum(true, 1)
    if metric == "balanced-accuracy":
        mean = recall[true > 0].mean()
        return np.asarray(mean + share * (right - recall[labels]) / true[labels])
    claimed = np.bincount(predicted, minlength=classes)
    both = np.maximum(true + claimed, 1)
    f1 = np.where(true > 0, 2 * recall * true / both, 0.0)
    # a class without images counts nowhere, and images that are taken for it lose that change
    of_true = (2 * right - f1[labels]) / both[labels]
    of_claimed = np.where(true[predicted] > 0, f1[predicted] / both[predicted], 0.0)
    return np.asarray(f1[true > 0].mean() + share * (of_true - of_claimed))


def resampled(metric: Metric, weights: Floats, scores: ImageScores) -> Floats:
    """The metric ``(R,)`` of resamples with the ``weights (R, N)`` of the images."""
    values = -scores.calibrated_losses if metric == "log-loss" else np.zeros(len(scores.labels))
    return _of_weights(metric, weights, scores.labels, scores.logits.argmax(axis=1), values)


def mean_score(metric: Metric, images: Sequence[ImageScores]) -> float:
    """Mean over seeds of the metric."""
    return float(np.mean([image_values(metric, scores).mean() for scores in images]))


def _of_weights(metric: Metric, weights: Floats, labels: Labels, predicted: Labels, values: Floats) -> Floats:
    total = weights.sum(axis=1)
    if metric == "log-loss":
        return np.asarray(weights @ values / total)
    hits = labels == predicted
    if metric == "accuracy":
        return np.asarray(weights @ hits.astype(np.float64) / total)
    classes = 1 + int(max(labels.max(), predicted.max()))
    true, right = _by_class(weights, labels, classes), _by_class(weights * hits, labels, classes)
    if metric == "balanced-accuracy":
        return balanced_accuracy(right, true)
    return macro_f1(right, true, _by_class(weights, predicted, classes))


def _by_class(weights: Floats, labels: Labels, classes: int) -> Floats:
    """Sums ``(R, C)`` of the weights ``(R, N)`` of each class's images."""
    order = np.argsort(labels, kind="stable")
    present, starts = np.unique(labels[order], return_index=True)
    found = np.zeros((len(weights), classes))
    found[:, present] = np.add.reduceat(weights[:, order], starts, axis=1)
    return found


def _over_present(values: Floats, true: Floats) -> Floats:
    present = true > 0
    return np.asarray(np.where(present, values, 0.0).sum(axis=-1) / present.sum(axis=-1))
