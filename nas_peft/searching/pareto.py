"""The Pareto front of a search: what no other candidate beats in loss and cost together."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from nas_peft.searching.candidate import Candidate

Cost = Callable[[Candidate], float]


def pareto_front(candidates: Sequence[Candidate], cost: Cost) -> list[Candidate]:
    """The candidates than which no other has a lower loss at no higher cost; by cost, the cheapest first.

    Along the front costs rise and losses fall, both strictly: of equal ones `Candidate.rank_key` keeps the
    first. Candidates whose scoring was stopped by racing are not on it (one that is no dearer was better),
    nor are those whose loss is not finite.
    """
    front: list[Candidate] = []
    whole = [c for c in candidates if math.isfinite(c.loss) and not c.dropped]
    for candidate in sorted(whole, key=lambda c: (cost(c), c.rank_key())):
        if not front or candidate.loss < front[-1].loss:
            front.append(candidate)
    return front


def best_layers(candidates: Sequence[Candidate], cost: Cost, at_least: int) -> list[Candidate]:
    """The front, then the front of the rest, and so on, until there are ``at_least`` (or none are left).

    What evolution over a whole range breeds from, as in non-dominated sorting (Deb et al. 2002).
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
