"""Stopping the scoring of candidates that are behind: most need to be seen on few images only.

A candidate races against those that cost no more: if one of them is surely better, the candidate is neither
on the front nor the best within any budget, and the rest of the images would not change that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from search_spaces.streams import stream

Losses = NDArray[np.float32]
SHARES = (0.0625, 0.125, 0.25, 0.4, 0.6, 0.8)
"""Of the images, after which candidates are compared; the survivors of the last comparison see them all."""
LEVEL = 0.2
"""A candidate is behind when the chance that it is not is less than this; see docs/log/racing.md."""
RESAMPLES = 1000


@dataclass(frozen=True)
class Runner:
    """Who takes part: a candidate's cost, and its losses on the images so far ``(n,)``."""

    cost: float
    losses: Losses


@dataclass
class PairedTest:
    """A paired bootstrap on per-image losses (Efron and Tibshirani 1993, chapter 16).

    Losses of two candidates on one image go up and down together, so their difference is known far better
    than either mean. The draws depend on the number of images and the seed only.
    """

    seed: int
    _weights: dict[int, NDArray[np.float64]] = field(default_factory=dict, repr=False)

    def chance(self, mine: Losses, theirs: Losses) -> float:
        """Of the mean of ``mine - theirs`` not being positive: the share of resamples where it is not."""
        n = len(mine)
        if n not in self._weights:
            draws = stream(self.seed, "racing", n).multinomial(n, np.full(n, 1 / n), size=RESAMPLES)
            self._weights[n] = draws / n
        difference = mine.astype(np.float64) - theirs.astype(np.float64)
        return float(np.mean(self._weights[n] @ difference <= 0))


def overtaken(
    runners: Sequence[Runner], incumbents: Sequence[Runner], test: PairedTest, level: float = LEVEL
) -> list[int | None]:
    """For each runner who has put it out of the race, ``None`` for those that go on.

    The answer is an index into the incumbents followed by the runners. A runner's rival is the one with the
    lowest mean loss among all others that cost no more; the runner is out if the chance that it is no worse
    is below ``level``.
    """
    everyone = [*incumbents, *runners]
    means = [float(other.losses.mean(dtype=np.float64)) for other in everyone]
    found: list[int | None] = []
    for me, runner in enumerate(runners, len(incumbents)):
        rivals = [i for i, other in enumerate(everyone) if i != me and other.cost <= runner.cost]
        best = min(rivals, key=lambda i: means[i], default=me)
        behind = means[best] < means[me] and test.chance(runner.losses, everyone[best].losses) < level
        found.append(best if behind else None)
    return found
