"""The measure that a comparison of runs shows: the metric by which the runs chose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any, Literal, TypeAlias

from nas_peft.settings.metric import LABELS, SEED_FIELDS, SHORT, Metric

Part: TypeAlias = Literal["val", "test"]

TIE_RULE = (
    "a tie: with several seeds, the mean of the paired differences is within its standard error; with one "
    "seed, the difference is within two of its standard errors, given the number of test images"
)
ONE_SEED = (
    "a tie: the mean of the paired differences is within its standard error; data sets with one seed are not "
    "counted, because runs do not record the standard error of this metric"
)


@dataclass(frozen=True)
class Measure:
    """A metric in the tables of a comparison: accuracy, balanced accuracy and macro F1 as fractions."""

    metric: Metric = "accuracy"

    @classmethod
    def of(cls, settings: Sequence[Mapping[str, Any]]) -> Measure:
        """The metric that all settings have in common; else accuracy, which all runs have."""
        found: set[Metric] = {of.get("metric", "accuracy") for of in settings}
        return cls(found.pop()) if len(found) == 1 else cls()

    @property
    def label(self) -> str:
        """Name in a sentence."""
        return LABELS[self.metric]

    @property
    def sign(self) -> int:
        """1 where higher is better, -1 where lower is."""
        return -1 if self.metric == "log-loss" else 1

    @property
    def tie_rule(self) -> str:
        """When a difference of two methods counts as a tie."""
        return TIE_RULE if self.metric == "accuracy" else ONE_SEED

    @property
    def amount(self) -> str:
        """A difference in words, such as ``points of test accuracy``."""
        return "test log loss" if self.metric == "log-loss" else f"points of test {self.label}"

    def field(self, part: Part) -> str:
        """Field of a seed in ``results.json``."""
        return f"{part}_{SEED_FIELDS[self.metric]}"

    def title(self, part: Part) -> str:
        """Title of a column: ``test %``, ``test bal %``, ``test loss``."""
        return f"{part} {SHORT[self.metric]}"

    def text(self, score: float) -> str:
        """A score as tables show it."""
        return f"{score:.3f}" if self.metric == "log-loss" else f"{100 * score:.1f}"

    def signed(self, difference: float) -> str:
        """A difference of two scores as tables show it."""
        return f"{difference:+.3f}" if self.metric == "log-loss" else f"{100 * difference:+.1f}"

    def mean_text(self, scores: Sequence[float]) -> str:
        """Mean with the standard deviation of several scores; a dash for none."""
        if not scores:
            return "–"
        spread = f" ± {self.text(stdev(scores))}" if len(scores) > 1 else ""
        return f"{self.text(fmean(scores))}{spread}"

    def best(self, means: Sequence[float]) -> float:
        """The best of some means."""
        return max(means, key=lambda mean: self.sign * mean)


ACCURACY = Measure()
"""The measure of runs without another metric."""
