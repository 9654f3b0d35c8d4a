"""Which methods are worth tuning on a task: a few of them, among which validation chooses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from statistics import fmean
from typing import Any

from benchmarks.decision_replay.replay import tested
from benchmarks.decision_replay.rules import Within
from benchmarks.decision_replay.tables import Option
from benchmarks.harness.standard_error import mean_and_error
from nas_peft.protocol.decision import FRACTION

REFERENCE = "lora"
"""The method that sets of methods are compared with, where the tables have it."""

SIZES = (1, 2, 3, 4)


def contestants(finals: Mapping[str, Sequence[Option]], images: int) -> dict[str, Any]:
    """Test accuracy in per cent where validation chooses among few methods by the product's rule.

    ``single`` has each method alone, and ``with the reference`` the reference beside each other method; gains
    are paired by task, in points, against the reference alone. ``left out`` has for each size the set that is
    best on the other tasks; ``best`` the one that is best on all, which is no estimate of what a set gives.
    """
    tasks = list(finals)
    methods = sorted(option.method for option in finals[tasks[0]])
    rule = Within(FRACTION, "loss", images)

    def tests(chosen: Sequence[str]) -> list[float]:
        picked = [rule.choose([o for o in finals[task] if o.method in chosen], {}) for task in tasks]
        return [100 * tested(option) for option in picked]

    table = {of: tests(of) for size in SIZES for of in combinations(methods, size)}
    base = table.get((REFERENCE,))

    def scored(found: Sequence[float]) -> dict[str, Any]:
        if base is None:
            return {"test": fmean(found)}
        gain, error = mean_and_error([own - other for own, other in zip(found, base, strict=True)])
        return {"test": fmean(found), "gain": gain, "gain_se": error}

    left_out, best = {}, {}
    for size in SIZES:
        of_size = [of for of in table if len(of) == size]
        if not of_size:
            continue
        found = []
        for number in range(len(tasks)):
            _, chosen = max((sum(table[of]) - table[of][number], of) for of in of_size)
            found.append(table[chosen][number])
        left_out[str(size)] = scored(found)
        most = max(of_size, key=lambda of: sum(table[of]))
        best[str(size)] = {"methods": list(most)} | scored(table[most])
    pairs = {of: found for of, found in table.items() if len(of) == 2 and REFERENCE in of}
    return {
        "single": {of[0]: scored(found) for of, found in table.items() if len(of) == 1},
        "with the reference": {" ".join(of): scored(found) for of, found in pairs.items()},
        "left out": left_out,
        "best": best,
    }
