"""Early elimination of candidates that are behind: most are scored on few images only.

A candidate races against those that cost no more, in the cost of the front and in parameters: if one of them
is surely better, the candidate is neither on the front nor the best within any budget, and the rest of the
images would not change that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from search_spaces.streams import stream

Losses = NDArray[np.float32]
SHARES = (0.0625, 0.125, 0.25, 0.4, 0.6, 0.8)
"""Shares of the images after which candidates are compared; survivors of the last comparison see them all."""
LEVEL = 0.2
"""A candidate is eliminated when the chance that it is no worse is below this; see docs/log/racing.md."""
RESAMPLES = 1000


@dataclass(frozen=True)
class Runner:
    """A candidate in the race: its costs, and its losses on the images so far ``(n,)``.

    There may be two costs. The front may set losses against a latency, while a budget limits parameters, and
    the faster of two candidates may be the one that exceeds the budget.
    """

    costs: tuple[float, ...]
    losses: Losses

    def costs_no_more(self, other: Runner) -> bool:
        """Whether none of the costs is above the same cost of the ``other``."""
        return all(mine <= theirs for mine, theirs in zip(self.costs, other.costs, strict=True))


@dataclass(frozen=True)
class Rival:
    """The candidate that eliminated another.

    Args:
        index: position among the generation's candidates, or among the incumbents.
        incumbent: whether the rival is an incumbent, a candidate of an earlier generation.
    """

    index: int
    incumbent: bool = False


@dataclass
class PairedTest:
    """A paired bootstrap on per-image losses (Efron and Tibshirani 1993, chapter 16).

    Losses of two candidates on one image go up and down together, so their difference is known far better
    than either mean. The draws depend on the number of images and the seed only.
    """

    seed: int
    _weights: dict[int, NDArray[np.float64]] = field(default_factory=dict, repr=False)

    def chance(self, mine: Losses, theirs: Losses) -> float:
        """Share of resamples whose mean of ``mine - theirs`` is at most 0."""
        n = len(mine)
        if n not in self._weights:
            draws = stream(self.seed, "racing", n).multinomial(n, np.full(n, 1 / n), size=RESAMPLES)
            self._weights[n] = draws / n
        difference = mine.astype(np.float64) - theirs.astype(np.float64)
        return float(np.mean(self._weights[n] @ difference <= 0))


def overtaken(
    runners: Mapping[int, Runner], incumbents: Sequence[Runner], test: PairedTest, level: float = LEVEL
) -> dict[int, Rival]:
    """Eliminated runners, each with the rival that eliminated it; a runner that goes on is not a key.

    ``runners`` are keyed by their position in the generation. A runner's rival is the candidate with the
    lowest mean loss among all others that cost no more; the runner is eliminated if that mean is lower than
    its own and the chance that the runner is no worse is below ``level``.
    """
    everyone = {
        **{Rival(i, incumbent=True): runner for i, runner in enumerate(incumbents)},
        **{Rival(i): runner for i, runner in runners.items()},
    }
    means = {who: float(runner.losses.mean(dtype=np.float64)) for who, runner in everyone.items()}
    eliminated: dict[int, Rival] = {}
    for number, runner in runners.items():
        me = Rival(number)
        rivals = [who for who, other in everyone.items() if who != me and other.costs_no_more(runner)]
        best = min(rivals, key=means.__getitem__, default=me)
        if means[best] < means[me] and test.chance(runner.losses, everyone[best].losses) < level:
            eliminated[number] = best
    return eliminated
