"""Means with their standard errors."""

from __future__ import annotations

from collections.abc import Sequence


def mean_and_error(values: Sequence[float]) -> tuple[float, float]:
    """Mean and its standard error, which is NaN for a single value."""
    n = len(values)
    mean = sum(values) / n
    if n < 2:
        return mean, float("nan")
    return mean, (sum((v - mean) ** 2 for v in values) / (n - 1) / n) ** 0.5
