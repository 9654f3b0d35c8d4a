"""Scores of candidates with the weights that they inherit from the supernet."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from nas_peft.machine.peak_memory import largest
from nas_peft.scoring.race import Race
from nas_peft.scoring.scorer import Found, Scorer
from nas_peft.searching.candidate import Candidate, Proposal, by_params
from nas_peft.searching.generation import Scored
from nas_peft.searching.racing import SHARES, Losses, Runner
from search_spaces import BackboneShape, LatencyTable, count_flops, count_params
from search_spaces.streams import stream


@dataclass(frozen=True)
class InheritedEvaluator:
    """Scores each proposal by the cross-entropy of its subnet, without training it.

    The score is the loss rather than the accuracy: accuracies on 200 images come in steps of half a point,
    and candidates of equal accuracy still differ in loss.

    With ``racing`` all candidates of a generation are scored on the first images, and each that is clearly
    worse than a candidate of at most its cost is eliminated (see `nas_peft.searching.racing`). The loss of an
    eliminated candidate is estimated, see `Race.mean_losses`.

    Args:
        scorer: computes losses.
        shape: shape of the backbone, for counting.
        classes: number of outputs of the head.
        cost: cost of a candidate, computed from its measured fields.
        racing: whether candidates may be eliminated.
        seed: seed of the order of the images and of the paired tests.
        latency: latency that each module adds; without a table candidates have no latency.
        shifted_folds: number of the scorer's last folds that hold shifted images; candidates that stayed in
            the race have a loss on them, too.
    """

    scorer: Scorer
    shape: BackboneShape
    classes: int
    cost: Callable[[Candidate], float] = by_params
    racing: bool = True
    seed: int = 0
    latency: LatencyTable | None = None
    shifted_folds: int = 0

    @property
    def images(self) -> int:
        """Number of images to score on, shifted ones not counted."""
        return sum(self._sizes)

    @property
    def _sizes(self) -> Sequence[int]:
        """Images of each fold without a shift."""
        sizes = self.scorer.sizes
        return sizes[: len(sizes) - self.shifted_folds]

    def evaluate(
        self,
        proposals: Sequence[Proposal],
        *,
        generation: int,
        first_number: int,
        incumbents: Sequence[tuple[Candidate, Losses]] = (),
        on_candidate: Callable[[], None] = lambda: None,
    ) -> Scored:
        """Score the proposals and return their candidates, numbered from ``first_number``.

        The loss of a candidate whose scores overflow is infinite. ``incumbents`` are earlier candidates with
        their losses on all images ``(N,)``, to race against. ``on_candidate`` is called whenever the scoring
        of a candidate ends.
        """
        started = time.perf_counter()
        known = [self._unscored(p, number, generation) for number, p in enumerate(proposals, first_number)]
        race = Race(
            [self._costs(c) for c in known],
            [Runner(self._costs(c), losses) for c, losses in incumbents],
            images=self.images,
            seed=self.seed,
        )
        passes = 0.0
        peaks: list[int | None] = []
        for new_images in self._rounds():
            architectures = [known[i].architecture for i in race.running]
            for fold, indices in new_images:
                found = self.scorer.score(fold, indices, architectures)
                race.record(found.losses, found.hits)
                passes += found.image_passes
                peaks.append(found.peak_memory)
            for _ in race.end_round():
                on_candidate()
            if not race.running:
                break
        candidates = [
            replace(
                c,
                loss=loss,
                loss_standard_error=error,
                accuracy=float(race.hits[i, : race.seen[i]].mean(dtype=np.float64)),
                images=int(race.seen[i]),
                dropped=i in race.eliminations,
            )
            for i, (c, (loss, error)) in enumerate(zip(known, race.mean_losses(), strict=True))
        ]
        if self.shifted_folds:
            candidates, found_on_shifted = self._with_shifted(candidates)
            passes += sum(found.image_passes for found in found_on_shifted)
            peaks += [found.peak_memory for found in found_on_shifted]
        return Scored(candidates, race.losses, passes, time.perf_counter() - started, largest(peaks))

    def _with_shifted(self, candidates: Sequence[Candidate]) -> tuple[list[Candidate], list[Found]]:
        """The candidates with their scores on shifted images: means over folds, each fold counting alike.

        A fold is one shift: the corrupted copies, or a left-out domain, however many images that has.
        Candidates that were eliminated, or whose loss is not finite, are left as they are.
        """
        whole = [i for i, c in enumerate(candidates) if not c.dropped and math.isfinite(c.loss)]
        if not whole:
            return list(candidates), []
        architectures = [candidates[i].architecture for i in whole]
        sizes = self.scorer.sizes
        found = [
            self.scorer.score(fold, np.arange(sizes[fold]), architectures)
            for fold in range(len(self._sizes), len(sizes))
        ]
        losses = np.mean([of.losses.mean(axis=1, dtype=np.float64) for of in found], axis=0)
        accuracies = np.mean([of.hits.mean(axis=1, dtype=np.float64) for of in found], axis=0)
        scored = list(candidates)
        for place, i in enumerate(whole):
            loss = float(losses[place])
            if math.isfinite(loss):
                accuracy = float(accuracies[place])
                scored[i] = replace(scored[i], shifted_loss=loss, shifted_accuracy=accuracy)
            else:  # the candidate is of no use, as one whose loss on unchanged images overflows
                scored[i] = replace(scored[i], loss=math.inf, loss_standard_error=0.0)
        return scored, found

    def _costs(self, candidate: Candidate) -> tuple[float, float]:
        """What the front counts and what a budget limits."""
        return self.cost(candidate), by_params(candidate)

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
        """New images of each round of the race: pairs of a fold and the indices ``(n,)`` in that fold."""
        shares = (*(SHARES if self.racing else ()), 1.0)
        orders = [
            stream(self.seed, "score images", fold).permutation(size) for fold, size in enumerate(self._sizes)
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
