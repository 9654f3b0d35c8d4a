"""Measures of a classifier's logits, with intervals over images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas_peft.training.share_interval import SHARE_LEVEL, share_interval
from nas_peft.training.temperature import Labels, Logits, cross_entropy
from search_spaces.streams import stream

BINS = 15
"""Bins of the expected calibration error, of equal width (Guo et al. 2017, arXiv 1706.04599)."""
RESAMPLES = 1000
LEVEL = SHARE_LEVEL
SHARES = ("accuracy", "top5_accuracy")
"""Overall measures that are shares of the images."""


@dataclass(frozen=True)
class Measure:
    """A value with its interval over images; see `measure`.

    ``interval`` is NaN where all resamples of a bootstrap are alike, which tells nothing of other images.
    """

    value: float
    interval: tuple[float, float]

    @property
    def known_interval(self) -> list[float] | None:
        """The interval; ``None`` where it is NaN."""
        return None if np.isnan(self.interval[0]) else list(self.interval)


@dataclass(frozen=True)
class ClassMeasure:
    """Precision, recall and F1 of one class, and its number of images; NaN where undefined."""

    name: str
    images: int
    precision: Measure
    recall: Measure
    f1: Measure


@dataclass(frozen=True)
class Measures:
    """All measures of an evaluation.

    ``overall`` has accuracy, balanced accuracy, macro F1 (over the classes that have images), top-5 accuracy
    where there are more than five classes, log loss and expected calibration error, the last two also
    ``calibrated`` by the temperature where there is one. ``confusion[i, j]`` counts the images of class i
    predicted as class j.
    """

    overall: dict[str, Measure]
    classes: tuple[ClassMeasure, ...]
    confusion: NDArray[np.int64]

    def to_dict(self) -> dict[str, Any]:
        """All measures, JSON-able; undefined values are null."""
        return {
            "overall": {k: {"value": m.value, "interval": m.known_interval} for k, m in self.overall.items()},
            "interval_level": LEVEL,
            "classes": [
                {
                    "name": c.name,
                    "images": c.images,
                    **{
                        name: None if np.isnan(m.value) else m.value
                        for name, m in (("precision", c.precision), ("recall", c.recall), ("f1", c.f1))
                    },
                    **{
                        f"{name}_interval": m.known_interval
                        for name, m in (("precision", c.precision), ("recall", c.recall), ("f1", c.f1))
                    },
                }
                for c in self.classes
            ],
            "confusion": self.confusion.tolist(),
        }


def measure(logits: Logits, labels: Labels, classes: Sequence[str], temperature: float | None) -> Measures:
    """All measures of ``logits (N, C)`` for ``labels (N,)``.

    Shares (accuracies, precision, recall) and F1 have intervals by Wilson's score, the mean of the classes'
    recalls the interval that follows from theirs (`mean_interval`), and losses and calibration errors
    bootstrap intervals over the images. That of macro F1 is the wider one of both: its classes are not
    independent, and a bootstrap of flawless predictions has no width.
    """
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    everything = np.arange(len(classes))
    predicted = logits.argmax(axis=1)
    confusion = confusion_matrix(labels, predicted, labels=everything)
    *by_class, images = precision_recall_fscore_support(
        labels, predicted, labels=everything, average=None, zero_division=np.nan
    )
    right, claimed = np.diag(confusion), confusion.sum(axis=0)
    classified = []
    for label, name in enumerate(classes):
        precision, recall, f1 = (float(value[label]) for value in by_class)
        of_class = int(right[label]), int(claimed[label]), int(images[label])
        classified.append(
            ClassMeasure(
                name,
                of_class[2],
                Measure(precision, share_interval(of_class[0], of_class[1])),
                Measure(recall, share_interval(of_class[0], of_class[2])),
                Measure(f1, _f1_interval(*of_class)),
            )
        )
    values = _of_images(logits, labels, temperature)
    whole = _statistics(values, labels, predicted, np.arange(len(labels)), len(classes))
    rng = stream(0, "evaluation bootstrap", len(labels))
    resampled = [
        _statistics(values, labels, predicted, rng.integers(0, len(labels), len(labels)), len(classes))
        for _ in range(RESAMPLES)
    ]
    found = {name: _interval(np.array([one[name] for one in resampled])) for name in whole}
    for name in set(SHARES) & set(whole):
        found[name] = share_interval(round(whole[name] * len(labels)), len(labels))
    present = [c for c in classified if c.images]
    found["balanced_accuracy"] = mean_interval([c.recall for c in present])
    of_f1, (low, high) = mean_interval([c.f1 for c in present]), found["macro_f1"]
    found["macro_f1"] = float(np.fmin(low, of_f1[0])), float(np.fmax(high, of_f1[1]))
    overall = {name: Measure(value, found[name]) for name, value in whole.items()}
    return Measures(overall, tuple(classified), confusion)


def mean_interval(measures: Sequence[Measure]) -> tuple[float, float]:
    """The interval of the mean of independent ``measures``, from their intervals.

    Mean - sqrt(sum of (value - low)^2) / C to mean + sqrt(sum of (high - value)^2) / C (Zou and Donner 2008,
    Statistics in Medicine 27(10)).
    """
    mean = float(np.mean([one.value for one in measures]))
    below = np.linalg.norm([one.value - one.interval[0] for one in measures]) / len(measures)
    above = np.linalg.norm([one.interval[1] - one.value for one in measures]) / len(measures)
    return mean - float(below), mean + float(above)


def _f1_interval(right: int, claimed: int, images: int) -> tuple[float, float]:
    """The interval of a class's F1 from that of a share s, since F1 is 2 s / (1 + s).

    The share is of the images that are of the class or called so: those that are both (Lam et al. 2023, arXiv
    2309.14621).
    """
    low, high = share_interval(right, claimed + images - right)
    return 2 * low / (1 + low), 2 * high / (1 + high)


def _interval(values: NDArray[np.float64]) -> tuple[float, float]:
    """The interval that holds `LEVEL` of the values that are defined; NaN if all are alike."""
    defined = values[~np.isnan(values)]
    if not len(defined) or defined.min() == defined.max():
        return float("nan"), float("nan")
    low, high = np.quantile(defined, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def calibration_error(confidence: NDArray[np.float64], hits: NDArray[np.bool_]) -> float:
    """Expected calibration error: the mean distance of confidence and accuracy in bins of confidence."""
    place = np.minimum((confidence * BINS).astype(int), BINS - 1)
    difference = np.bincount(place, confidence - hits, minlength=BINS)
    return float(np.abs(difference).sum() / len(hits))


def _of_images(logits: Logits, labels: Labels, temperature: float | None) -> dict[str, NDArray[Any]]:
    """What the measures of a resample are made of, by image."""
    found: dict[str, NDArray[Any]] = {}
    if logits.shape[1] > 5:
        right = np.take_along_axis(logits, labels[:, None], axis=1)
        found["top5"] = (logits > right).sum(axis=1) < 5
    scales = {"": 1.0} if temperature is None else {"": 1.0, "_calibrated": temperature}
    for name, scale in scales.items():
        found[f"loss{name}"] = cross_entropy(logits, labels, scale)
        found[f"confidence{name}"] = np.exp(-cross_entropy(logits, logits.argmax(axis=1), scale))
    return found


def _confusion(labels: Labels, predicted: Labels, classes: int) -> NDArray[np.int64]:
    """The number of images of each class (rows) by predicted class (columns)."""
    return np.bincount(labels * classes + predicted, minlength=classes**2).reshape(classes, classes)


def _statistics(
    values: dict[str, NDArray[Any]],
    labels: Labels,
    predicted: Labels,
    chosen: NDArray[np.int64],
    classes: int,
) -> dict[str, float]:
    """The overall measures of the ``chosen`` images."""
    confusion = _confusion(labels[chosen], predicted[chosen], classes)
    right, true, claimed = np.diag(confusion), confusion.sum(axis=1), confusion.sum(axis=0)
    present = true > 0
    hits = labels[chosen] == predicted[chosen]
    found = {
        "accuracy": float(hits.mean()),
        "balanced_accuracy": float((right[present] / true[present]).mean()),
        "macro_f1": float((2 * right / np.maximum(true + claimed, 1))[present].mean()),
    }
    if "top5" in values:
        found["top5_accuracy"] = float(values["top5"][chosen].mean())
    for name in ("", "_calibrated"):
        if f"loss{name}" in values:
            found[f"log_loss{name}"] = float(values[f"loss{name}"][chosen].mean())
            found[f"calibration_error{name}"] = calibration_error(values[f"confidence{name}"][chosen], hits)
    return found
