"""The replay on tables where the best rule is known."""

import csv
from pathlib import Path

import pytest

from benchmarks.decision_replay.replay import among_methods, among_settings
from benchmarks.decision_replay.tables import Tables


def test_scores_and_regrets(tables: Path) -> None:
    found = among_methods(Tables.read(tables).finals, 200)
    assert found["by hindsight"]["test"] == pytest.approx(76.5)
    loss, accuracy = (found["rules"][name] for name in ("lowest loss", "highest accuracy, then loss"))
    assert (loss["test"], loss["regret"]) == (pytest.approx(64.5), pytest.approx(12.0))
    assert (accuracy["test"], accuracy["regret"]) == (pytest.approx(76.5), pytest.approx(0.0))
    assert accuracy["gain_on_lowest_loss"] == pytest.approx(12.0)
    assert accuracy["gain_se"] == pytest.approx(0.0)
    assert set(loss["methods"].values()) == {"small"}


def test_the_fraction_is_chosen_without_the_task(tables: Path) -> None:
    """On one task alone the lowest loss is right: its own choice is made by the others, and is wrong."""
    path = tables / "finals.csv"
    with path.open(newline="") as file:
        rows = list(csv.reader(file))
    for row in rows:
        if row[:2] == ["ducks", "small"]:
            row[-1] = "99"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    chosen = among_methods(Tables.read(tables).finals, 200)["chosen"]["then loss"]
    assert chosen["fractions"]["ducks"] == 0.0
    assert chosen["methods"]["ducks"] == "big"
    assert chosen["tests"]["ducks"] == pytest.approx(75.0)


def test_settings_are_judged_by_what_was_tested(tables: Path) -> None:
    found = among_settings(Tables.read(tables), 200)
    assert found["highest accuracy, then loss"] == {"tested": 1.0, "accuracy_lost": 0.0, "most_lost": 0.0}
    assert found["lowest loss"]["tested"] == 0.0
    assert found["lowest loss"]["accuracy_lost"] == pytest.approx(10.0)
