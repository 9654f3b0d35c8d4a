"""The race of one generation: candidates are scored image by image and eliminated when clearly behind."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nas_peft.searching.racing import Losses, PairedTest, Rival, Runner, overtaken


class Race:
    """The losses of one generation's candidates so far, and which rival eliminated which candidate.

    Candidates are named by their position in the generation. ``record`` the scores of all that are still
    ``running``, image by image in the same order for everybody; ``end_round`` compares them.

    Args:
        costs: costs of each candidate, see `Runner`.
        incumbents: earlier candidates with their losses on all images.
        images: number of images of a candidate that is not eliminated.
        seed: seed of the paired test.

    Attributes:
        losses: ``(candidates, images)``, NaN where a candidate was not scored.
        hits: ``(candidates, images)``, 1 where the prediction was right, else 0, times the image's weight.
        seen: ``(candidates,)``, number of images that each candidate was scored on.
        running: candidates still in the race, in order.
        eliminations: for each eliminated candidate, the rival that eliminated it.
    """

    def __init__(
        self, costs: Sequence[tuple[float, ...]], incumbents: Sequence[Runner], *, images: int, seed: int
    ) -> None:
        self._costs = costs
        self._incumbents = incumbents
        self._test = PairedTest(seed)
        self._done = 0
        self.losses: Losses = np.full((len(costs), images), np.nan, dtype=np.float32)
        self.hits: NDArray[np.float32] = np.zeros(self.losses.shape, dtype=np.float32)
        self.seen: NDArray[np.int64] = np.zeros(len(costs), dtype=np.int64)
        self.running = list(range(len(costs)))
        self.eliminations: dict[int, Rival] = {}

    def record(self, losses: Losses, hits: NDArray[np.bool_] | NDArray[np.float32]) -> None:
        """Add the scores ``(running, n)`` of the running candidates on the next n images."""
        columns = slice(self._done, self._done + losses.shape[1])
        self.losses[self.running, columns], self.hits[self.running, columns] = losses, hits
        self._done = columns.stop

    def end_round(self) -> list[int]:
        """Compare the running candidates and return those that leave the race.

        A candidate leaves when it is eliminated, when one of its losses is not finite (no rival is then
        noted), or when it has been scored on all images.
        """
        done = self._done
        self.seen[self.running] = done
        finite = [i for i in self.running if np.isfinite(self.losses[i, :done]).all()]
        staying: list[int] = []
        if done < self.losses.shape[1]:
            out = overtaken(
                {i: Runner(self._costs[i], self.losses[i, :done]) for i in finite},
                [Runner(other.costs, other.losses[:done]) for other in self._incumbents],
                self._test,
            )
            self.eliminations |= out
            staying = [i for i in finite if i not in out]
        leaving = [i for i in self.running if i not in staying]
        self.running = staying
        return leaving

    def mean_losses(self) -> list[tuple[float, float]]:
        """Mean loss on all images and its standard error, for each candidate.

        The mean of an eliminated candidate is estimated: its own mean on the images it has seen, plus the
        difference between its rival's mean on all images and on those, where that is finite. A loss of its
        own that is not finite makes the mean infinite and the error 0.
        """
        means: dict[int, float] = {}
        found = []
        for i, row in enumerate(self.losses):
            mean = self._mean(i, means)
            own = row[: self.seen[i]].astype(np.float64)
            error = float(own.std(ddof=1) / len(own) ** 0.5) if len(own) > 1 and math.isfinite(mean) else 0.0
            found.append((mean, error))
        return found

    def _mean(self, i: int, known: dict[int, float]) -> float:
        """Mean loss of candidate ``i``; ``known`` keeps the means computed so far."""
        if i not in known:
            own = self.losses[i, : self.seen[i]].astype(np.float64)
            known[i] = float(own.mean()) if np.isfinite(own).all() else math.inf
            if i in self.eliminations:
                rival = self.eliminations[i]
                if rival.incumbent:
                    row = self._incumbents[rival.index].losses
                    whole = float(row.mean(dtype=np.float64))
                else:
                    row = self.losses[rival.index]
                    whole = self._mean(rival.index, known)
                if math.isfinite(whole):
                    known[i] += whole - float(row[: self.seen[i]].mean(dtype=np.float64))
        return known[i]
