"""The greedy portfolio: few settings that together do well on every task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.decision_replay.tables import Option
from benchmarks.harness.standard_error import mean_and_error
from search_spaces.streams import stream

SIZES = (1, 3, 5, 8, 20)
DRAWS = 200


def greedy_portfolio(accuracies: NDArray[np.float64], size: int) -> list[int]:
    """Columns of ``accuracies (tasks, settings)`` in the order in which they raise the mean best the most.

    Among equals the first is taken.
    """
    chosen: list[int] = []
    best = np.zeros(len(accuracies))
    for _ in range(min(size, accuracies.shape[1])):
        gains = np.maximum(accuracies, best[:, None]).mean(axis=0)
        gains[chosen] = -1.0
        chosen.append(int(gains.argmax()))
        best = np.maximum(best, accuracies[:, chosen[-1]])
    return chosen


def portfolios(tunings: Mapping[str, Sequence[Option]]) -> dict[str, Any]:
    """Regret of portfolios learned on the other tasks: validation accuracy below the best of all settings.

    In points, mean over tasks and standard error, beside as many random settings. ``settings`` are those of
    the portfolio of all tasks.
    """
    tasks = list(tunings)
    names = sorted(option.name for option in tunings[tasks[0]])
    of = {task: {option.name: option.accuracy for option in tunings[task]} for task in tasks}
    table = np.array([[of[task][name] for name in names] for task in tasks])
    rng = stream(0, "random portfolios")
    draws = [rng.permutation(len(names)) for _ in range(DRAWS)]
    orders = [greedy_portfolio(np.delete(table, number, axis=0), max(SIZES)) for number in range(len(tasks))]
    found: dict[str, Any] = {"settings": [names[i] for i in greedy_portfolio(table, max(SIZES))], "sizes": {}}
    for size in (size for size in SIZES if size <= len(names)):
        regrets = [
            100 * float(row.max() - row[order[:size]].max()) for row, order in zip(table, orders, strict=True)
        ]
        mean, error = mean_and_error(regrets)
        by_chance = [100 * float((table.max(1) - table[:, draw[:size]].max(1)).mean()) for draw in draws]
        found["sizes"][str(size)] = {
            "regret": mean,
            "regret_se": error,
            "random": float(np.mean(by_chance)),
            "by_task": dict(zip(tasks, regrets, strict=True)),
        }
    return found
