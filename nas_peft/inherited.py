"""Scoring candidates with the weights that they inherit from the supernet."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nas_peft.candidate import Candidate, Proposal
from nas_peft.data import Part
from search_spaces import count_params
from supernet import Precision, Preprocessing, Supernet, evaluate


@dataclass(frozen=True)
class InheritedEvaluator:
    """Scores each proposal by the cross-entropy of its subnet on ``part``, without training it.

    The loss, not the accuracy, is the score: 200 images give accuracy steps of half a point, and
    candidates of equal accuracy still differ in loss.
    """

    supernet: Supernet
    part: Part
    preprocessing: Preprocessing
    precision: Precision = "fp32"

    def evaluate(
        self,
        proposals: Sequence[Proposal],
        *,
        generation: int,
        first_number: int,
        on_candidate: Callable[[], None] = lambda: None,
    ) -> list[Candidate]:
        """One `Candidate` for each proposal, numbered from ``first_number``; an overflow scores infinity."""
        candidates = []
        for number, proposal in enumerate(proposals, first_number):
            result = evaluate(
                self.supernet,
                self.part.images,
                self.part.labels,
                preprocessing=self.preprocessing,
                architecture=proposal.architecture,
                precision=self.precision,
            )
            finite = math.isfinite(result.loss)
            candidates.append(
                Candidate(
                    number=number,
                    generation=generation,
                    proposal=proposal,
                    params=count_params(proposal.architecture, self.supernet.shape),
                    loss=result.loss if finite else math.inf,
                    loss_standard_error=result.loss_standard_error if finite else 0.0,
                    accuracy=result.accuracy,
                    images=len(self.part),
                )
            )
            on_candidate()
        return candidates
