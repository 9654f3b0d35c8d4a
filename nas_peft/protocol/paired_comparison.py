"""The chosen searched subnet against the best single method, on the test set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean, stdev

import numpy as np

from nas_peft.protocol.rows import Row
from nas_peft.run.results import PairedComparison
from nas_peft.settings.metric import Metric
from nas_peft.training.metrics import evaluation_resampled, evaluation_score
from search_spaces.streams import stream
from supernet import Evaluation

RESAMPLES = 2000
_CHUNK = 100  # resamples at a time, to bound the memory


def compare_pair(
    searched: Row,
    single: Row,
    seeds: Sequence[int],
    tests: Mapping[tuple[Row, int], Evaluation],
    metric: Metric = "accuracy",
) -> PairedComparison:
    """The difference in the metric, paired by seed, and McNemar's exact test on the images of the first seed.

    Both rows were chosen by validation. McNemar's test counts the images that only one of the two gets right,
    and asks whether both counts could be equal: two-sided, binomial with probability 1/2 (McNemar 1947).
    The test is about accuracy; for another metric the difference has a bootstrap interval over these images.
    """
    from scipy.stats import binomtest

    differences = [
        evaluation_score(metric, tests[searched, seed]) - evaluation_score(metric, tests[single, seed])
        for seed in seeds
    ]
    pair = [tests[row, seeds[0]] for row in (searched, single)]
    ours, theirs = (found.hits for found in pair)
    ours_only, theirs_only = int((ours & ~theirs).sum()), int((theirs & ~ours).sum())
    discordant = ours_only + theirs_only
    return PairedComparison(
        searched=searched.name,
        single=single.name,
        seeds=list(seeds),
        differences=differences,
        difference=fmean(differences),
        standard_error=stdev(differences) / len(seeds) ** 0.5 if len(seeds) > 1 else None,
        images=len(ours),
        searched_only=ours_only,
        single_only=theirs_only,
        p_value=float(binomtest(ours_only, discordant).pvalue) if discordant else 1.0,
        metric=metric,
        interval=None if metric == "accuracy" else _interval(metric, pair, seeds[0]),
    )


def _interval(metric: Metric, pair: Sequence[Evaluation], seed: int) -> tuple[float, float]:
    """The 95% bootstrap interval of the difference over the same images."""
    (ours, theirs), rng = pair, stream(seed, "paired comparison")
    images = len(ours.hits)
    differences = []
    for _ in range(RESAMPLES // _CHUNK):
        weights = rng.multinomial(images, np.full(images, 1 / images), size=_CHUNK).astype(np.float64)
        differences.append(
            evaluation_resampled(metric, weights, ours) - evaluation_resampled(metric, weights, theirs)
        )
    low, high = np.quantile(np.concatenate(differences), (0.025, 0.975))
    return float(low), float(high)
