"""The greedy portfolio: settings that complement each other, learned without the task."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.decision_replay.portfolio import greedy_portfolio, portfolios
from benchmarks.decision_replay.tables import Option, Tables


def test_the_second_setting_complements_the_first() -> None:
    accuracies = np.array([[0.7, 0.9, 0.1], [0.7, 0.8, 0.2], [0.7, 0.1, 0.8]])
    assert greedy_portfolio(accuracies, 5) == [0, 1, 2]
    assert greedy_portfolio(accuracies[:2], 2) == [1, 0]


def test_the_regret_is_on_the_task_left_out() -> None:
    """Each task has its own best setting, and shares the second best."""
    tunings = {
        task: [
            Option("m", s, 0.9 if s == task else 0.8 if s == "all" else 0.1, 1.0)
            for s in ("a", "b", "c", "all")
        ]
        for task in ("a", "b", "c")
    }
    found = portfolios(tunings)
    assert found["settings"][0] == "m all"
    assert found["sizes"]["1"]["regret"] == pytest.approx(10.0)
    assert found["sizes"]["3"]["by_task"] == pytest.approx({"a": 10.0, "b": 10.0, "c": 10.0})
    assert set(found["sizes"]) == {"1", "3"}


def test_one_setting_that_is_best_everywhere_has_no_regret(tables: Path) -> None:
    found = portfolios(Tables.read(tables).tunings)
    assert found["sizes"]["1"]["regret"] == 0.0
    assert found["sizes"]["1"]["random"] > 5.0
