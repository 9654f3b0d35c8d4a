"""Pareto front of a search: the candidates that no other beats in both loss and cost."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from nas_peft.searching.candidate import Candidate

Cost = Callable[[Candidate], float]


def pareto_front(candidates: Sequence[Candidate], cost: Cost) -> list[Candidate]:
    """Candidates that no other beats at equal or lower cost, the cheapest first.

    Along the front costs rise and losses fall, both strictly; among equals `Candidate.rank_key` keeps the
    first. Candidates eliminated by racing are excluded (a candidate at equal or lower cost was better), and
    so are candidates without a finite loss.
    """
    front: list[Candidate] = []
    whole = [c for c in candidates if math.isfinite(c.loss) and not c.dropped]
    for candidate in sorted(whole, key=lambda c: (cost(c), c.rank_key())):
        if not front or candidate.loss < front[-1].loss:
            front.append(candidate)
    return front


def best_layers(candidates: Sequence[Candidate], cost: Cost, at_least: int) -> list[Candidate]:
    """The front, then the front of the rest, and so on, until there are ``at_least`` candidates or no more.

    The parents in a search over the whole range, as in non-dominated sorting (Deb et al. 2002).
    """
    found: list[Candidate] = []
    rest = list(candidates)
    while rest and len(found) < at_least:
        layer = pareto_front(rest, cost)
        if not layer:
            break
        found += layer
        numbers = {c.number for c in layer}
        rest = [c for c in rest if c.number not in numbers]
    return found
