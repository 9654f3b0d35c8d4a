"""Names and amounts of the metric that decides, as tables and sentences show them."""

from __future__ import annotations

from nas_peft.settings.metric import LABELS, Metric


def label(metric: Metric) -> str:
    """The metric's name in a sentence."""
    return LABELS[metric]


def difference(metric: Metric, amount: float) -> str:
    """A difference of two scores: ``+1.2 points``; of log losses ``-0.012``, where lower is better."""
    return f"{-amount:+.3f}" if metric == "log-loss" else f"{100 * amount:+.1f} points"


def bounds(metric: Metric, low: float, high: float) -> str:
    """An interval of differences: ``-0.5 to +1.2``; of log losses with their own sign."""
    if metric == "log-loss":
        return f"{-high:+.3f} to {-low:+.3f}"
    return f"{100 * low:+.1f} to {100 * high:+.1f}"


def size(metric: Metric, amount: float) -> str:
    """An amount of 0 or more with its unit: ``1.2 points``, or ``0.012`` of log loss."""
    return f"{amount:.3f}" if metric == "log-loss" else f"{100 * amount:.1f} points"
