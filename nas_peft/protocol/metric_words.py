"""Names and amounts of the metric that decides, as tables and sentences show them."""

from __future__ import annotations

from nas_peft.settings.metric import LABELS, Metric


def label(metric: Metric) -> str:
    """The metric's name in a sentence."""
    return LABELS[metric]


def unit(metric: Metric) -> str:
    """The unit of an amount, with a space before it; the log loss has none."""
    return "" if metric == "log-loss" else " points"


def signed(metric: Metric, difference: float) -> str:
    """A difference of two scores: ``+1.2``, in points; of log losses ``-0.012``, where lower is better."""
    return f"{-difference:+.3f}" if metric == "log-loss" else f"{100 * difference:+.1f}"


def bounds(metric: Metric, interval: tuple[float, float]) -> str:
    """An interval of differences of scores: ``-0.5 to +1.2``; the lower log loss comes first, too."""
    low, high = reversed(interval) if metric == "log-loss" else interval
    return f"{signed(metric, low)} to {signed(metric, high)}"


def size(metric: Metric, amount: float) -> str:
    """An amount of 0 or more: ``1.2``, in points, or ``0.012`` of log loss."""
    return f"{amount:.3f}" if metric == "log-loss" else f"{100 * amount:.1f}"
