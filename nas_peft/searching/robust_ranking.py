"""The order of candidates in a search for robust subnets."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from nas_peft.searching.candidate import Candidate


@dataclass(frozen=True)
class RobustRanking:
    """Puts candidates with a low shifted loss first, unless their loss on unchanged images is too high.

    First come the candidates whose loss is at most ``margin`` above the lowest loss, by their shifted loss;
    then the rest by `Candidate.rank_key`. Candidates without a finite loss on both come last.
    """

    margin: float

    def __call__(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        """The candidates, best first."""
        whole = [c for c in candidates if math.isfinite(c.loss) and c.shifted_loss is not None]
        if not whole:
            return sorted(candidates, key=Candidate.rank_key)
        most = min(c.loss for c in whole) + self.margin

        def key(candidate: Candidate) -> tuple[bool, float, tuple[float, int, int]]:
            shifted = candidate.shifted_loss
            if shifted is not None and candidate.loss <= most and math.isfinite(shifted):
                return (False, shifted, candidate.rank_key())
            return (True, 0.0, candidate.rank_key())

        return sorted(candidates, key=key)


def by_loss(candidates: Sequence[Candidate]) -> list[Candidate]:
    """The candidates by `Candidate.rank_key`, best first."""
    return sorted(candidates, key=Candidate.rank_key)
