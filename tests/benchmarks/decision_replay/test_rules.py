"""The rules on options that differ by less and by more than their fraction of a standard error."""

import pytest

from benchmarks.decision_replay.rules import LowestLoss, Within, fixed_rules, prior_of
from benchmarks.decision_replay.tables import Option, Tables

BEST = Option("best", "", 0.80, 1.0, 100)
NEAR = Option("near", "", 0.79, 0.5, 10)  # 0.35 standard errors of 200 images below the best
FAR = Option("far", "", 0.70, 0.1, 1)
OPTIONS = (FAR, NEAR, BEST)


@pytest.mark.parametrize(
    ("fraction", "chosen"), [(0.0, BEST), (0.25, BEST), (0.5, NEAR), (2.0, NEAR), (4.0, FAR)]
)
def test_the_loss_decides_within_the_fraction(fraction: float, chosen: Option) -> None:
    assert Within(fraction, "loss", 200).choose(OPTIONS, {}) is chosen
    assert Within(fraction, "params", 200).choose(OPTIONS[::-1], {}) is chosen


def test_the_prior_decides_within_the_fraction_and_parameters_a_tie() -> None:
    prior = {"best": 0.6, "near": 0.7, "far": 0.9}
    assert Within(0.5, "prior", 200).choose(OPTIONS, prior) is NEAR
    assert Within(0.5, "prior", 200).choose(OPTIONS, dict.fromkeys(prior, 0.5)) is NEAR
    assert Within(0.25, "prior", 200).choose(OPTIONS, prior) is BEST


def test_the_rule_of_today_looks_at_the_loss_alone() -> None:
    assert LowestLoss().choose(OPTIONS, {}) is FAR
    assert fixed_rules(200)["lowest loss"] == LowestLoss()


def test_the_prior_leaves_the_task_out(tables) -> None:
    finals = Tables.read(tables).finals
    assert prior_of(finals, "ants")["big"] == pytest.approx(0.76)
    assert prior_of(finals, "ducks")["big"] == pytest.approx(0.77)
