"""Numbers of the report as texts."""

from __future__ import annotations

from nas_peft.deployment.model_card import accuracy_interval
from nas_peft.run.results import RowResult, SearchResult

NONE = "–"
"""A number that does not exist."""


def percent(share: float, digits: int = 1) -> str:
    """A share in per cent, without the sign."""
    return f"{100 * share:.{digits}f}"


def of_seeds(row: RowResult, metric: str) -> str:
    """Mean of a share over seeds in per cent, with its standard deviation where there are several seeds."""
    spread = row.std(metric)
    return percent(row.mean(metric)) + ("" if spread is None else f" ± {percent(spread)}")


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
    return accuracy_interval(accuracy, int(result.dataset["counts"]["test"]))


def size_of_file(count: int) -> str:
    """A number of bytes as ``142 kB`` or ``1.2 MB``."""
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{max(1, round(count / 1e3))} kB"
