"""An audit: a fair sample, honest statistics, resumable, and the test part stays sealed."""

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from nas_peft.audit.result import Audit, AuditedSubnet, ranking, regret, verdict
from nas_peft.audit.sample import EQUAL, audit_sample
from nas_peft.audit.stage import audit
from nas_peft.cli.app import app
from nas_peft.run.finished_search import FinishedSearch
from nas_peft.run.progress import StageBars
from nas_peft.run.results import SearchResult
from nas_peft.run.search_inputs import SearchInputs
from search_spaces import InputError, count_params

QUIET = StageBars(quiet=True)
laws = settings(derandomize=True, deadline=None, database=None, max_examples=20)


def subnet(params: int, loss: float, accuracies: list[float], group: str = "equal size") -> AuditedSubnet:
    return AuditedSubnet(
        group=group,
        architecture={"depth": 1},
        description="",
        params=params,
        flops=1,
        inherited_loss=loss,
        inherited_accuracy=1 - loss,
        val_accuracy=accuracies,
        val_loss=accuracies,
    )


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


def test_a_score_that_size_explains_is_said_to_be_no_better_than_size():
    rows = [subnet(i, 1 - i / 20, [i / 20]) for i in range(10)]
    found = ranking(rows, seed=0)
    assert found.ceiling is None  # of one seed
    assert "over all sizes the number of parameters alone ranks them as well" in verdict(found, found)


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


def test_a_real_audit_resumes_and_leaves_the_test_part_sealed(
    finished_run: SearchResult, running_ray: str, tmp_path
):
    run = Path(finished_run.run)
    before = {p: p.read_bytes() for p in run.rglob("*") if p.is_file()}
    search = FinishedSearch.read(run)
    found = audit(search, subnets=8, seeds=2, device="cpu", bars=QUIET)
    assert Audit.model_validate_json((run / "audit.json").read_text()) == found
    assert [len(row.val_accuracy) for row in found.sample] == [2] * 8
    assert found.choice.description == search.pick().architecture.describe()
    assert found.choice.inherited_loss == pytest.approx(search.pick().loss, rel=1e-4)
    assert found.equal_size.subnets == 4
    added = {p for p in run.rglob("*") if p.is_file()} - set(before)
    trainings = sorted(p for p in added if p.name.startswith("audit-"))
    assert len(trainings) == 9 * 2
    for file in trainings[::3]:
        file.unlink()  # as if stopped before them
    (run / "audit.json").unlink()
    again = audit(search, subnets=8, seeds=2, device="cpu", bars=QUIET)
    assert again == found
    assert all(p.read_bytes() == content for p, content in before.items())

    shown = CliRunner().invoke(
        app,
        ["audit", str(run), "--subnets", "8", "--seeds", "1", "--plot", str(tmp_path / "audit.svg")],
        env={"COLUMNS": "160"},
    )
    assert shown.exit_code == 0, shown.output
    assert "all sizes (8)" in shown.stdout
    assert "–" in shown.stdout  # one seed has no ceiling
    assert "regret of the search's choice" in shown.stdout
    ElementTree.parse(tmp_path / "audit.svg")
    assert json.loads((run / "audit.json").read_text())["seeds"] == [0]
    for path in {p for p in run.rglob("*") if p.is_file()} - set(before):
        path.unlink()  # the run is shared with other tests


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--subnets", "3"), "subnets is 3; give 8 or more"),
        (("--seeds", "0"), "seeds is 0; give 1 or more"),
        (("--plot", "x.bmp"), "is no picture"),
        (("--device", "tpu"), "device is 'tpu'"),
    ],
)
def test_mistakes_are_said_in_one_line(finished_run: SearchResult, arguments, said):
    shown = CliRunner().invoke(app, ["audit", str(Path(finished_run.run).resolve()), *arguments])
    assert shown.exit_code == 2
    assert said in " ".join(shown.stderr.split())
    assert not (Path(finished_run.run) / "audit.json").exists()
