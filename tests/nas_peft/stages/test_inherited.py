"""A search without retraining: the best subnet is tested and exported as it stands in the supernet."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
import torch

from nas_peft.main_job import search
from nas_peft.report.reported_run import ReportedRun
from nas_peft.report.run_page import run_page
from nas_peft.run.finished_search import FinishedSearch
from nas_peft.run.progress import StageBars
from nas_peft.run.results import SearchResult
from nas_peft.run.stage_records import OpeningRecord
from nas_peft.scoring.inherited_network import inherited_network
from nas_peft.settings.search_config import SearchConfig
from nas_peft.stages import inherited
from nas_peft.stages.supernet import read_supernets
from search_spaces import InputError
from supernet import Evaluation, evaluate, load_subnet

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def values(tiny_values: dict[str, Any]) -> dict[str, Any]:
    rest = {name: value for name, value in tiny_values.items() if name != "retrain"}
    return rest | {"no_retrain": True, "folds": 3}


@pytest.fixture(scope="module")
def address(tmp_path_factory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('storage')}/studies.db"


@pytest.fixture(scope="module")
def result(values: dict[str, Any], address: str, tmp_path_factory) -> SearchResult:
    out = tmp_path_factory.mktemp("runs") / "inherited"
    return search(SearchConfig.of(**values), out, device="cpu", storage=address, study="stripes")


def test_the_best_within_the_budget_and_the_probe_are_tested_and_nothing_is_trained(result: SearchResult):
    best = FinishedSearch.read(Path(result.run)).pick()
    chosen, linear = result.rows
    assert chosen.selected
    assert chosen.name == f"candidate-{best.number}"
    assert chosen.architecture == best.architecture.to_dict()
    assert chosen.seeds[0].image_passes == 0
    assert linear.name == "linear"
    assert chosen.label.endswith(", inherited weights")
    assert "alone" not in chosen.label
    assert chosen.tested
    assert linear.tested
    assert not any((Path(result.run) / "trainings").iterdir())
    assert "without any training of its own" in result.protocol
    assert "the images that each supernet was not trained on" in result.protocol


def test_the_export_has_the_mean_of_the_folds_weights(result: SearchResult, values: dict[str, Any]):
    found = FinishedSearch.read(Path(result.run))
    inputs = found.inputs(StageBars(quiet=True))
    folds = read_supernets(inputs, found.folder, "cpu")
    architecture = found.pick().architecture
    subnet = load_subnet(found.folder.subnet)
    exported = subnet.network.module_tensors(architecture)
    own = inherited_network(folds, architecture).module_tensors(architecture)
    singles = [fold.supernet.extract(architecture).module_tensors(architecture) for fold in folds]
    for name, value in exported.items():
        assert torch.equal(value, own[name])
        torch.testing.assert_close(value, sum(one[name] for one in singles) / 3)
    assert subnet.metrics["test_accuracy"] == result.rows[0].seeds[0].test_accuracy


def test_the_search_scored_the_training_part_and_is_in_the_storage(result: SearchResult, address: str):
    found = FinishedSearch.read(Path(result.run))
    assert max(c.images for c in found.candidates) == result.dataset["counts"]["train"]
    study = optuna.load_study(study_name="stripes", storage=address)
    assert len(study.trials) == len(found.candidates) == 12
    assert not (Path(result.run) / "study.journal").exists()


@pytest.mark.thorough
def test_a_run_recorded_elsewhere_goes_on_there_only(
    result: SearchResult, values: dict[str, Any], address: str
):
    out, config = Path(result.run), SearchConfig.of(**values)
    content = (out / "results.json").read_bytes()
    (out / "results.json").unlink()
    with pytest.raises(InputError, match=r"is recorded in sqlite:///.*; to go on, give --storage .* --study"):
        search(config, out, device="cpu")
    again = search(config, out, device="cpu", storage=address, study="stripes")
    assert again.rows[0].architecture == result.rows[0].architecture
    (out / "results.json").write_bytes(content)


@pytest.mark.thorough
def test_the_report_has_the_folds_and_says_that_nothing_was_retrained(result: SearchResult):
    run = ReportedRun.read(Path(result.run))
    found = run_page(run, dataset=None, device="cpu", bars=StageBars(quiet=True))
    missing = {part.what for part in found.missing}
    assert missing == {"Inherited and retrained scores", "Separate trainings"}
    assert "Nothing was retrained, so it is not known how sure that is." in found.html
    assert "inherited weights, not trained further" in found.html
    assert all(f'scope="col" class="number">fold {number}<' in found.html for number in (1, 2, 3))


def test_weights_that_overflow_are_not_tested(
    tiny_values: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The next candidate is; without any the test set stays sealed."""
    values = {name: value for name, value in tiny_values.items() if name != "retrain"}
    losses, config = list[float](), SearchConfig.of(**values, no_retrain=True)

    def overflowing(*arguments: Any, **more: Any) -> Evaluation:
        found = evaluate(*arguments, **more)
        losses.append(found.loss)
        return replace(found, losses=found.losses + math.inf) if len(losses) <= most else found

    monkeypatch.setattr(inherited, "evaluate", overflowing)
    most = 1000
    with pytest.raises(InputError, match="no candidate within the budget has a finite loss"):
        search(config, tmp_path / "run", device="cpu")
    found = FinishedSearch.read(tmp_path / "run")
    ranked = found.inputs(StageBars(quiet=True)).ranked(found.candidates)
    assert losses[0] == pytest.approx(ranked[0].loss, rel=1e-4)
    assert len(losses) == len(ranked)
    assert found.folder.read_stage("test", OpeningRecord) is None
    losses.clear()
    most = 1
    result = search(config, tmp_path / "run", device="cpu")
    assert result.selected.name == f"candidate-{ranked[1].number}"


@pytest.mark.parametrize("given", [{"seeds": 2}, {"retrain": 1}])
def test_what_would_be_trained_separately_is_refused(values: dict[str, Any], given: dict[str, int]):
    with pytest.raises(InputError, match="no_retrain skips all separate trainings"):
        SearchConfig.of(**values | given)


def test_a_study_needs_a_storage(tiny_config: SearchConfig, tmp_path):
    with pytest.raises(InputError, match="study names a study in --storage, which is not given"):
        search(tiny_config, tmp_path / "run", device="cpu", study="x")
