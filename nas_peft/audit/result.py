"""Findings of an audit: how well the scores of a search agree with retraining."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, ConfigDict

from nas_peft.audit.ranking import bootstrap_interval, bootstrap_taus, kendall_tau, seed_ceiling
from nas_peft.settings.metric import Metric

ENOUGH = 8
"""Subnets from which the interval of a tau means something: resamples of fewer are too alike."""

PROTOCOL = (
    "A stratified random sample of subnets within the budget is trained on the training set, once for each "
    "seed, and scored on the validation set{same}. The test set is not read. Tau is Kendall's tau-b of a "
    "score with the retrained {metric}, averaged over seeds; its interval holds the middle 95% of bootstrap "
    "resamples of the subnets. The ceiling is the mean tau between two seeds of retraining."
)
SAME = {
    True: ", on which the inherited scores are computed too",
    False: "; the inherited scores are computed on training images that their supernet has not seen",
}


class AuditedSubnet(BaseModel):
    """A subnet of the sample, or the search's choice: its inherited score, and its retraining by seed.

    Accuracies are fractions; ``val_accuracy``, ``val_loss`` and ``val_score`` have an entry for each seed.
    Where the metric of the run counts every class alike, both accuracies are balanced. ``val_score`` is by
    the metric, higher is better (minus the log loss); audits of earlier versions have none, and accuracy
    stands for it. ``inherited_loss`` is ``None`` where it is not finite, as where half precision overflows.
    """

    model_config = ConfigDict(extra="forbid")

    group: str
    architecture: dict[str, Any]
    description: str
    params: int
    flops: int
    inherited_loss: float | None
    inherited_accuracy: float
    val_accuracy: list[float]
    val_loss: list[float]
    val_score: list[float] | None = None

    @property
    def scores(self) -> list[float]:
        """Validation scores by the metric of the run, one for each seed."""
        return self.val_accuracy if self.val_score is None else self.val_score

    @property
    def retrained(self) -> float:
        """Mean validation score over seeds."""
        return float(np.mean(self.scores))


class Tau(BaseModel):
    """Kendall's tau-b of a score with the retrained one by the run's metric, and its 95% interval.

    ``None`` where either is constant.
    """

    model_config = ConfigDict(extra="forbid")

    tau: float | None
    low: float | None
    high: float | None

    @classmethod
    def of(cls, score: ArrayLike, retrained: ArrayLike, seed: int) -> Tau:
        """Tau of ``score`` with the ``retrained`` one; higher is better, and ``seed`` draws the bootstrap."""
        low, high = bootstrap_interval(bootstrap_taus(score, retrained, seed=seed))
        found = (kendall_tau(score, retrained), low, high)
        tau, least, most = (None if np.isnan(x) else float(x) for x in found)
        return cls(tau=tau, low=least, high=most)


class Ranking(BaseModel):
    """Agreement of the scores of a group of subnets with retraining; ``ceiling`` is that between seeds."""

    model_config = ConfigDict(extra="forbid")

    subnets: int
    inherited_loss: Tau
    inherited_accuracy: Tau
    params: Tau
    ceiling: float | None


class Audit(BaseModel):
    """Findings of an audit, as ``audit.json`` holds them.

    ``regret`` is the highest mean validation score in the sample, by the ``metric`` of the run, minus that of
    the search's choice, in points (or in log loss). It is negative if the choice is better than the whole
    sample. The highest of many noisy means is biased upwards, so a regret within its standard error
    ``regret_error`` (over seeds) is no evidence of a bad choice. ``inherited_minus_retrained`` is the mean
    difference of the accuracies, in points.
    """

    model_config = ConfigDict(extra="forbid")

    run: str
    protocol: str
    seeds: list[int]
    sample: list[AuditedSubnet]
    choice: AuditedSubnet
    all_sizes: Ranking
    equal_size: Ranking
    regret: float
    regret_error: float | None
    inherited_minus_retrained: float
    verdict: str
    environment: dict[str, str]
    metric: Metric = "accuracy"


def ranking(subnets: Sequence[AuditedSubnet], seed: int) -> Ranking:
    """Agreement of the scores of ``subnets`` with their mean retrained score.

    Subnets without a finite inherited loss tie as the worst by both inherited scores.
    """
    worst = max((s.inherited_loss for s in subnets if s.inherited_loss is not None), default=0.0) + 1
    losses = [worst if s.inherited_loss is None else s.inherited_loss for s in subnets]
    accuracies = [-1.0 if s.inherited_loss is None else s.inherited_accuracy for s in subnets]
    retrained = [s.retrained for s in subnets]
    by_seed: NDArray[np.float64] = np.array([s.scores for s in subnets]).T
    ceiling = seed_ceiling(by_seed)
    return Ranking(
        subnets=len(subnets),
        inherited_loss=Tau.of([-loss for loss in losses], retrained, seed),
        inherited_accuracy=Tau.of(accuracies, retrained, seed),
        params=Tau.of([s.params for s in subnets], retrained, seed),
        ceiling=None if np.isnan(ceiling) else ceiling,
    )


def regret(
    sample: Sequence[AuditedSubnet], choice: AuditedSubnet, metric: Metric = "accuracy"
) -> tuple[float, float | None]:
    """Regret, and its standard error over seeds (``None`` for one seed); see `Audit`."""
    best = max(sample, key=lambda s: s.retrained)
    factor = 1 if metric == "log-loss" else 100
    difference = factor * (np.array(best.scores) - np.array(choice.scores))
    n = len(difference)
    return float(difference.mean()), float(difference.std(ddof=1) / n**0.5) if n > 1 else None


def verdict(all_sizes: Ranking, equal_size: Ranking) -> str:
    """Verdict on the inherited loss in words, by two rules.

    A group is ranked better than by chance if it has at least `ENOUGH` subnets and the interval of its tau
    lies above 0. The number of parameters ranks as well if its tau over all sizes is at least that of the
    loss.
    """
    words = []
    for name, found in (("of all sizes", all_sizes), ("of equal size", equal_size)):
        tau = found.inherited_loss
        if found.subnets < ENOUGH:
            words.append(f"nothing can be said of {found.subnets} subnets {name}, {ENOUGH} are needed")
        elif tau.low is not None and tau.low > 0:
            words.append(f"subnets {name} are ranked better than by chance (the interval is above 0)")
        else:
            words.append(f"subnets {name} are not shown to be ranked better than by chance")
    loss, params = all_sizes.inherited_loss.tau, all_sizes.params.tau
    if loss is not None and params is not None and loss <= params:
        words.append("over all sizes the number of parameters alone ranks them at least as well")
    return "By the inherited loss " + "; ".join(words) + "."
