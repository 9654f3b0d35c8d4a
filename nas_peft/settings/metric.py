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

BALANCED: tuple[Metric, ...] = ("balanced-accuracy", "macro-f1")
"""Metrics that count every class alike; the search then ranks subnets by the class-balanced loss."""
