"""The rules that are replayed, and the parameter that the other tasks choose for a rule."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TypeAlias

from benchmarks.decision_replay.tables import Option

FRACTIONS = (0.25, 0.5, 1.0, 2.0)
"""Numbers of standard errors within which an accuracy counts as equal to the best."""

Prior: TypeAlias = Mapping[str, float]
"""Mean test accuracy of each method on the other tasks."""

Tie: TypeAlias = Callable[[Option, Prior], tuple[float, ...]]
"""Sort key, best first, of the options whose accuracies count as equal."""

TIES: dict[str, Tie] = {
    "loss": lambda option, prior: (option.loss, -option.accuracy, option.params),
    "prior": lambda option, prior: (-prior[option.method], option.params),
    "params": lambda option, prior: (option.params, option.loss),
}


@dataclass(frozen=True)
class Within:
    """The options within ``fraction`` standard errors of the highest accuracy, then by the key ``tie``.

    The standard error is that of the highest accuracy, √(p (1 - p) / images).
    """

    fraction: float
    tie: str
    images: int

    def choose(self, options: Sequence[Option], prior: Prior) -> Option:
        """The chosen option."""
        best = max(option.accuracy for option in options)
        least = best - self.fraction * (best * (1 - best) / self.images) ** 0.5
        tied = [option for option in options if option.accuracy >= least - 1e-12]
        return min(tied, key=lambda option: (*TIES[self.tie](option, prior), option.name))


@dataclass(frozen=True)
class LowestLoss:
    """The lowest validation loss, then the highest accuracy: the product's rule until version 0.1."""

    def choose(self, options: Sequence[Option], prior: Prior) -> Option:
        """The chosen option."""
        return min(options, key=lambda option: (option.loss, -option.accuracy, option.name))


@dataclass(frozen=True)
class HighestPrior:
    """The method that is best on the other tasks, whatever this task's validation data say."""

    def choose(self, options: Sequence[Option], prior: Prior) -> Option:
        """The chosen option."""
        return min(options, key=lambda option: (-prior[option.method], option.name))


Rule: TypeAlias = Within | LowestLoss | HighestPrior


def fixed_rules(images: int) -> dict[str, Rule]:
    """The rules without a parameter to choose, by name; ``images`` are those of the validation set."""
    rules: dict[str, Rule] = {
        "lowest loss": LowestLoss(),
        "highest accuracy, then loss": Within(0.0, "loss", images),
        "highest accuracy, then params": Within(0.0, "params", images),
        "best on the other tasks": HighestPrior(),
    }
    for tie in TIES:
        for fraction in FRACTIONS:
            rules[f"within {fraction:g} s.e., then {tie}"] = Within(fraction, tie, images)
    return rules


def families(images: int) -> dict[str, list[Within]]:
    """Rules that differ in their fraction alone, 0 included; the other tasks choose among them."""
    return {f"then {tie}": [Within(f, tie, images) for f in (0.0, *FRACTIONS)] for tie in TIES}


def prior_of(tasks: Mapping[str, Sequence[Option]], left_out: str) -> dict[str, float]:
    """Mean test accuracy of each method on all tasks but ``left_out``."""
    found: dict[str, list[float]] = {}
    for task, options in tasks.items():
        if task != left_out:
            for option in options:
                assert option.test is not None
                found.setdefault(option.method, []).append(option.test)
    return {method: fmean(values) for method, values in found.items()}
