"""An audit: a fair sample, honest statistics, resumable, and the test set stays sealed."""

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas_peft.audit.plot import plot_audit
from nas_peft.audit.result import Audit, AuditedSubnet, ranking, regret, verdict
from nas_peft.audit.sample import EQUAL, audit_sample
from nas_peft.run.json_file import read_json, write_json
from nas_peft.run.progress import StageBars
from nas_peft.run.search_inputs import SearchInputs
from search_spaces import InputError, count_params

QUIET = StageBars(quiet=True)
laws = settings(derandomize=True, deadline=None, database=None, max_examples=20)


def subnet(
    params: int, loss: float | None, accuracies: list[float], group: str = "equal size"
) -> AuditedSubnet:
    return AuditedSubnet(
        group=group,
        architecture={"depth": 1},
        description="",
        params=params,
        flops=1,
        inherited_loss=loss,
        inherited_accuracy=0.9 if loss is None else 1 - loss,
        val_accuracy=accuracies,
        val_loss=accuracies,
    )


def test_the_metric_decides_on_order_and_regret():
    rows = [subnet(i, i / 10, [i / 10, i / 10]) for i in range(8)]
    rows = [row.model_copy(update={"val_score": [-row.val_accuracy[0]] * 2}) for row in rows]
    assert ranking(rows, seed=0).inherited_loss.tau == pytest.approx(1)
    assert regret(rows, rows[3], "log-loss")[0] == pytest.approx(0.3)
    assert regret(rows, rows[3], "macro-f1")[0] == pytest.approx(30)


@pytest.mark.parametrize("subnets", [8, 24, 31])
def test_the_sample_is_stratified_within_the_budget_new_and_always_the_same(
    tiny_inputs: SearchInputs, subnets: int
):
    sample = audit_sample(tiny_inputs, subnets)
    assert len({s.architecture for s in sample}) == len(sample) == subnets
    assert all(tiny_inputs.fits(s.architecture) for s in sample)
    params = {
        group: [count_params(s.architecture, tiny_inputs.backbone.shape) for s in sample if s.group == group]
        for group in ("equal size", "all sizes")
    }
    limit = tiny_inputs.budget.max_params
    assert len(params["equal size"]) == subnets // 2
    assert min(params["equal size"]) >= 0.99 * EQUAL * limit
    assert sorted(params["all sizes"]) == params["all sizes"]  # one from each stratum
    assert params["all sizes"][0] < 0.05 * limit
    assert audit_sample(tiny_inputs, subnets) == sample


def test_too_few_subnets_are_refused(tiny_inputs: SearchInputs):
    with pytest.raises(InputError, match="subnets is 7; give 8 or more"):
        audit_sample(tiny_inputs, 7)


def test_a_perfect_score_has_tau_one_and_a_useless_one_an_interval_over_zero():
    rng = np.random.default_rng(0)
    rows = [subnet(int(rng.integers(1, 99)), 1 - i / 20, [i / 20, i / 20]) for i in range(20)]
    found = ranking(rows, seed=0)
    assert found.inherited_loss.tau == pytest.approx(1)
    assert found.inherited_accuracy.tau == pytest.approx(1)
    assert found.ceiling == pytest.approx(1)
    assert found.params.tau is not None
    assert abs(found.params.tau) < 0.5
    words = verdict(found, found)
    assert words.count("ranked better than by chance (the interval is above 0)") == 2
    shuffled = [subnet(r.params, float(rng.random()), r.val_accuracy) for r in rows]
    words = verdict(ranking(shuffled, 0), ranking(shuffled, 0))
    assert words.count("are not shown to be ranked better than by chance") == 2


@pytest.mark.parametrize("overflowed", [1, 2, 12])
def test_subnets_without_a_finite_loss_tie_as_the_worst(overflowed: int, tmp_path: Path):
    """The audit is written and drawn; the subnets stand in the record without a loss."""
    rows = [
        subnet(100 + i, 1 - i / 20, [i / 20, i / 19], ["all sizes", "equal size"][i % 2]) for i in range(12)
    ]
    lost = [row.model_copy(update={"inherited_loss": None}) for row in rows[:overflowed]]
    sample = [*lost, *rows[overflowed:]]
    found = ranking(sample, 0)
    expected = {1: 1.0, 2: (65 / 66) ** 0.5, 12: None}[overflowed]  # tau-b: one of 66 pairs is tied
    for tau in (found.inherited_loss, found.inherited_accuracy):
        assert tau.tau == (None if expected is None else pytest.approx(expected))
    audit = Audit(
        run="run",
        protocol="",
        seeds=[0, 1],
        sample=sample,
        choice=sample[-1],
        all_sizes=found,
        equal_size=found,
        regret=0,
        regret_error=None,
        inherited_minus_retrained=0,
        verdict=verdict(found, found),
        environment={},
    )
    write_json(tmp_path / "audit.json", audit.model_dump(mode="json"))
    assert Audit.model_validate(read_json(tmp_path / "audit.json")) == audit
    plot_audit(tmp_path / "audit.svg", audit)
    ElementTree.parse(tmp_path / "audit.svg")


def test_few_subnets_prove_nothing():
    rows = [subnet(i, 1 - i / 20, [i / 20, i / 20]) for i in range(4)]
    found = ranking(rows, seed=0)
    assert found.inherited_loss.tau == pytest.approx(1)
    assert "nothing can be said of 4 subnets of equal size, 8 are needed" in verdict(found, found)


def test_a_score_that_size_explains_is_said_to_be_no_better_than_size():
    rows = [subnet(i, 1 - i / 20, [i / 20]) for i in range(10)]
    found = ranking(rows, seed=0)
    assert found.ceiling is None  # of one seed
    said = "over all sizes the number of parameters alone ranks them at least as well"
    assert said in verdict(found, found)


@laws
@given(st.lists(st.lists(st.floats(0, 1), min_size=2, max_size=2), min_size=2, max_size=6))
def test_the_regret_is_the_distance_to_the_best_of_the_sample(accuracies: list[list[float]]):
    sample = [subnet(1, 0.5, both) for both in accuracies]
    best = max(np.mean(both) for both in accuracies)
    for choice in sample:
        found, error = regret(sample, choice)
        assert found == pytest.approx(100 * (best - choice.retrained), abs=1e-9)
        assert found >= -1e-9
        assert error is not None
        assert error >= 0
    better = subnet(1, 0.5, [2.0, 2.0])
    assert regret(sample, better)[0] < 0
