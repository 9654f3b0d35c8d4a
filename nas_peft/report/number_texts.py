"""Numbers of the report as texts."""

from __future__ import annotations

from typing import Literal

from nas_peft.run.results import RowResult, SearchResult
from nas_peft.settings.metric import SEED_FIELDS, Metric
from nas_peft.training.share_interval import share_interval

NONE = "–"
"""A number that does not exist."""


def percent(share: float, digits: int = 1) -> str:
    """A share in per cent, without the sign."""
    return f"{100 * share:.{digits}f}"


def of_seeds(row: RowResult, metric: str) -> str:
    """Mean of a share over seeds in per cent, with its standard deviation where there are several seeds."""
    spread = row.std(metric)
    return percent(row.mean(metric)) + ("" if spread is None else f" ± {percent(spread)}")


def score_of_seeds(row: RowResult, part: Literal["val", "test"], metric: Metric) -> str:
    """Mean over seeds of a row's score by the metric, with its standard deviation; `NONE` where not known."""
    field = f"{part}_{SEED_FIELDS[metric]}"
    if not row.seeds or any(getattr(seed, field) is None for seed in row.seeds):
        return NONE
    if metric != "log-loss":
        return of_seeds(row, field)
    spread = row.std(field)
    return f"{row.mean(field):.3f}" + ("" if spread is None else f" ± {spread:.3f}")


def interval_of_test(row: RowResult, result: SearchResult) -> str:
    """The 95% interval of the test accuracy of a row's first seed, by Wilson's score, in per cent."""
    if not row.tested:
        return NONE
    low, high = bounds_of_test(row, result)
    return f"{percent(low)} to {percent(high)}"


def bounds_of_test(row: RowResult, result: SearchResult) -> tuple[float, float]:
    """The same as shares."""
    accuracy = row.seeds[0].test_accuracy
    assert accuracy is not None  # asked for tested rows
    images = int(result.dataset["counts"]["test"])
    return share_interval(round(accuracy * images), images)


def size_of_file(count: int) -> str:
    """A number of bytes as ``142 kB`` or ``1.2 MB``."""
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{max(1, round(count / 1e3))} kB"
