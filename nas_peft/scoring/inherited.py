"""Scoring candidates with the weights that they inherit from the supernet."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from nas_peft.machine.peak_memory import largest
from nas_peft.scoring.scorer import Scorer
from nas_peft.searching.candidate import Candidate, Proposal, by_params
from nas_peft.searching.generation import Scored
from nas_peft.searching.racing import SHARES, Losses, PairedTest, Runner, overtaken
from search_spaces import BackboneShape, LatencyTable, count_flops, count_params
from search_spaces.streams import stream


@dataclass(frozen=True)
class InheritedEvaluator:
    """Scores each proposal by the cross-entropy of its subnet, without training it.

    The loss, not the accuracy, is the score: 200 images give accuracy steps of half a point, and
    candidates of equal accuracy still differ in loss.

    With ``racing`` all candidates of a generation are scored on the first images, and those that are behind
    one that costs no more go no further (see `nas_peft.searching.racing`). The loss of such a one is
    estimated: its own mean on the images it has seen, plus what the other's mean rises by from these to all
    images.

    Args:
        scorer: computes losses.
        shape: of the backbone, for counting.
        classes: outputs of the head.
        cost: of a candidate, by its measured fields.
        racing: whether candidates may be dropped.
        seed: of the order of the images and of the tests.
        latency: what modules add to it; without one candidates have no latency.
    """

    scorer: Scorer
    shape: BackboneShape
    classes: int
    cost: Callable[[Candidate], float] = by_params
    racing: bool = True
    seed: int = 0
    latency: LatencyTable | None = None

    @property
    def images(self) -> int:
        """How many there are to score on."""
        return sum(self.scorer.sizes)

    def evaluate(
        self,
        proposals: Sequence[Proposal],
        *,
        generation: int,
        first_number: int,
        incumbents: Sequence[tuple[Candidate, Losses]] = (),
        on_candidate: Callable[[], None] = lambda: None,
    ) -> Scored:
        """One `Candidate` for each proposal, numbered from ``first_number``; an overflow scores infinity.

        ``incumbents`` are earlier candidates with their losses on all images ``(N,)``, to race against.
        """
        started = time.perf_counter()
        known = [self._unscored(p, number, generation) for number, p in enumerate(proposals, first_number)]
        costs = [self.cost(c) for c in known]
        earlier = [Runner(self.cost(c), row) for c, row in incumbents]
        losses = np.full((len(known), self.images), np.nan, dtype=np.float32)
        hits = np.zeros(losses.shape, dtype=bool)
        seen = np.zeros(len(known), dtype=np.int64)
        beaten_by: dict[int, int] = {}  # indices into `earlier` followed by the generation
        running, passes, done = list(range(len(known))), 0.0, 0
        peaks: list[int | None] = []
        test = PairedTest(self.seed)
        for a_round in self._rounds():
            architectures = [known[i].architecture for i in running]
            for fold, indices in a_round:
                found = self.scorer.score(fold, indices, architectures)
                columns = slice(done, done + len(indices))
                losses[running, columns], hits[running, columns] = found.losses, found.hits
                passes += found.image_passes
                peaks.append(found.peak_memory)
                done = columns.stop
            seen[running] = done
            finite = [i for i in running if np.isfinite(losses[i, :done]).all()]
            if done < self.images:
                out = overtaken(
                    [Runner(costs[i], losses[i, :done]) for i in finite],
                    [Runner(other.cost, other.losses[:done]) for other in earlier],
                    test,
                )
                for i, rival in zip(finite, out, strict=True):
                    if rival is not None:
                        own = rival - len(earlier)
                        beaten_by[i] = len(earlier) + finite[own] if own >= 0 else rival
            left = [i for i in finite if i not in beaten_by and done < self.images]
            for _ in set(running).difference(left):
                on_candidate()
            running = left
            if not running:
                break
        scored = [
            replace(c, accuracy=float(hits[i, : seen[i]].mean()), images=int(seen[i]), dropped=i in beaten_by)
            for i, c in enumerate(known)
        ]
        with_loss = [
            replace(c, loss=loss, loss_standard_error=error)
            for c, (loss, error) in zip(scored, _mean_losses(losses, seen, earlier, beaten_by), strict=True)
        ]
        return Scored(with_loss, losses, passes, time.perf_counter() - started, largest(peaks))

    def _unscored(self, proposal: Proposal, number: int, generation: int) -> Candidate:
        architecture = proposal.architecture
        return Candidate(
            number=number,
            generation=generation,
            proposal=proposal,
            params=count_params(architecture, self.shape),
            flops=count_flops(architecture, self.shape, self.classes),
            loss=math.nan,
            loss_standard_error=math.nan,
            accuracy=math.nan,
            images=0,
            latency=None if self.latency is None else self.latency.latency(architecture),
        )

    def _rounds(self) -> list[list[tuple[int, np.ndarray]]]:
        """For each round of the race the new images of each fold: indices ``(n,)``."""
        shares = (*(SHARES if self.racing else ()), 1.0)
        orders = [
            stream(self.seed, "score images", fold).permutation(size)
            for fold, size in enumerate(self.scorer.sizes)
        ]
        rounds, ends = [], [0] * len(orders)
        for share in shares:
            new = [math.ceil(share * len(order)) for order in orders]
            parts = [
                (fold, order[start:end])
                for fold, (order, start, end) in enumerate(zip(orders, ends, new, strict=True))
                if end > start
            ]
            if parts:
                rounds.append(parts)
            ends = new
        return rounds


def _mean_losses(
    losses: Losses, seen: np.ndarray, earlier: Sequence[Runner], beaten_by: dict[int, int]
) -> list[tuple[float, float]]:
    """Mean and standard error of each row, estimated for all images where it was not scored on all."""
    means: dict[int, float] = {}

    def mean(i: int) -> float:
        if i not in means:
            own = losses[i, : seen[i]].astype(np.float64)
            means[i] = float(own.mean()) if np.isfinite(own).all() else math.inf
            if i in beaten_by:
                rival = beaten_by[i] - len(earlier)
                row = losses[rival] if rival >= 0 else earlier[beaten_by[i]].losses
                whole = mean(rival) if rival >= 0 else float(row.mean(dtype=np.float64))
                means[i] += whole - float(row[: seen[i]].mean(dtype=np.float64))
        return means[i]

    found = []
    for i, row in enumerate(losses):
        own = row[: seen[i]].astype(np.float64)
        error = float(own.std(ddof=1) / len(own) ** 0.5) if len(own) > 1 and math.isfinite(mean(i)) else 0.0
        found.append((mean(i), error))
    return found
