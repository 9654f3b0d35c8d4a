"""The interval of a share that was counted on images, such as an accuracy or a recall."""

from __future__ import annotations

import math

SHARE_LEVEL = 0.95


def share_interval(right: int, images: int) -> tuple[float, float]:
    """The 95% interval of a share, of which ``right`` of ``images`` images were counted, by Wilson's score.

    It has a width where all images are right, which a bootstrap over the images has not. NaN for no images.
    """
    from scipy.stats import binomtest

    if not images:
        return math.nan, math.nan
    found = binomtest(right, images).proportion_ci(SHARE_LEVEL, method="wilson")
    return float(found.low), float(found.high)
