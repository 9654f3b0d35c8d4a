"""The chosen searched subnet against the best single method, on the test set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean, stdev

from nas_peft.protocol.rows import Row
from nas_peft.run.results import PairedComparison
from supernet import Evaluation


def compare_pair(
    searched: Row, single: Row, seeds: Sequence[int], tests: Mapping[tuple[Row, int], Evaluation]
) -> PairedComparison:
    """The difference in accuracy, paired by seed, and McNemar's exact test on the images of the first seed.

    Both rows were chosen by validation. McNemar's test counts the images that only one of the two gets right,
    and asks whether both counts could be equal: two-sided, binomial with probability 1/2 (McNemar 1947).
    """
    from scipy.stats import binomtest

    differences = [tests[searched, seed].accuracy - tests[single, seed].accuracy for seed in seeds]
    ours, theirs = (tests[row, seeds[0]].hits for row in (searched, single))
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
    )
