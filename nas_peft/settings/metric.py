"""The measure on validation data that decides between trained networks."""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

Metric: TypeAlias = Literal["accuracy", "balanced-accuracy", "macro-f1", "log-loss"]

METRICS: tuple[Metric, ...] = get_args(Metric)

LABELS: dict[Metric, str] = {
    "accuracy": "accuracy",
    "balanced-accuracy": "balanced accuracy",
    "macro-f1": "macro F1",
    "log-loss": "log loss",
}
"""Names in sentences and tables."""

SHORT: dict[Metric, str] = {
    "accuracy": "%",
    "balanced-accuracy": "bal %",
    "macro-f1": "F1 %",
    "log-loss": "loss",
}
"""Ends of column titles."""

SEED_FIELDS: dict[Metric, str] = {
    "accuracy": "accuracy",
    "balanced-accuracy": "balanced_accuracy",
    "macro-f1": "macro_f1",
    "log-loss": "loss",
}
"""Fields of a seed in ``results.json``, after ``val_`` or ``test_``."""

BALANCED: tuple[Metric, ...] = ("balanced-accuracy", "macro-f1")
"""Metrics that count every class alike; the search then ranks subnets by the class-balanced loss."""


def inherited_accuracy(metric: Metric) -> str:
    """Name of the accuracy with inherited weights, which counts classes alike where the metric does."""
    return LABELS["balanced-accuracy" if metric in BALANCED else "accuracy"]
