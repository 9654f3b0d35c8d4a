"""A search for robust subnets: copies, left-out domains, two losses, the stated choice."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from nas_peft.front.export import export_candidate
from nas_peft.main_job import search
from nas_peft.run.finished_search import FinishedSearch
from nas_peft.run.progress import StageBars
from nas_peft.run.results import SearchResult
from nas_peft.run.search_inputs import SearchInputs
from nas_peft.run.stage_records import SupernetRecord
from nas_peft.searching.robust_ranking import RobustRanking
from nas_peft.settings.search_config import SearchConfig
from nas_peft.training.image_scores import ImageScores
from nas_peft.training.training import Training
from nas_peft.training.trainings import run_training
from search_spaces import Architecture, InputError


@pytest.fixture(scope="module")
def config(image_folder: Path, tiny_values: dict[str, Any], tmp_path_factory) -> SearchConfig:
    """The striped images as those of two domains."""
    root = tmp_path_factory.mktemp("domains") / "stripes"
    for file in sorted(image_folder.glob("*/*.png")):
        target = root / ("first" if int(file.stem) < 12 else "second") / file.parent.name
        target.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, target)
    rest = {k: v for k, v in tiny_values.items() if k not in ("dataset", "epochs", "retrain")}
    robust = {"objective": "robust", "robust_margin": 0.1, "domains": True, "no_retrain": True}
    return SearchConfig.of(dataset=str(root), **rest, **robust).on("cpu")


@pytest.fixture(scope="module")
def finished(config: SearchConfig, tmp_path_factory) -> SearchResult:
    return search(config, tmp_path_factory.mktemp("runs") / "robust", device="cpu")


@pytest.mark.thorough
def test_each_domain_is_left_out_by_a_supernet_of_its_own(finished: SearchResult):
    search = FinishedSearch.read(Path(finished.run))
    names = ("supernet", "supernet-domain0", "supernet-domain1")
    passes = [search.folder.required_stage(name, SupernetRecord).image_passes for name in names]
    # one domain of two is left: all of the epochs on about half of the images
    assert sum(passes[1:]) == pytest.approx(passes[0], rel=0.05)
    assert all((search.folder.path / f"{name}.safetensors").is_file() for name in names)


@pytest.mark.slow
def test_rows_are_judged_on_each_domain_by_a_training_without_it(config: SearchConfig, tmp_path: Path):
    """Inherited weights are then those of the supernet that has not seen the domain."""
    changes = {"no_retrain": False, "retrain": 1, "epochs": (1,), "soup": 2, "start": ("inherited",)}
    found = search(config.model_copy(update=changes), tmp_path / "run", device="cpu")
    folder = tmp_path / "run" / "trainings"
    names = {file.name.partition(".train.")[0] for file in folder.glob("*.train.without-*.json")}
    assert names == {row.name for row in found.rows if "-soup" not in row.name and "-wise" not in row.name}
    assert not list(folder.glob("*without*.safetensors.*"))
    (searched,) = [row for row in found.rows if row.group == "searched" and row.name.count("-") == 1]
    (own,) = folder.glob(f"{searched.name}.train.inherited.lr*.seed0.val.safetensors")
    parts = sorted(folder.glob(f"{searched.name}.train.without-*.inherited.lr*.seed0.val.safetensors"))
    assert [".without-first." in part.name for part in parts] == [True, False]
    assert {file.name for file in folder.glob("*without*.safetensors")} == {
        file.name for file in folder.glob("*without*.val.safetensors")
    }  # no weights are kept
    joined = ImageScores.read(own).with_left_out([ImageScores.read(part) for part in parts])
    (run,) = searched.seeds
    assert run.val_shifted_loss == pytest.approx(joined.shifted_loss)
    assert run.val_shifted_loss != pytest.approx(ImageScores.read(own).shifted_loss)
    records = [json.loads(file.read_text()) for file in folder.glob("*.json")]
    assert all(record["error"] is None for record in records)
    inputs = FinishedSearch.read(tmp_path / "run").inputs(StageBars(quiet=True))
    sizes = {name: len(own) for name, own in inputs.left_out_domains().items()}
    assert sum(sizes.values()) == len(inputs.dataset.train)
    for part, (name, size) in zip(parts, sorted(sizes.items()), strict=True):
        assert f"without-{name}" in part.name
        assert len(ImageScores.read(part).labels) == size
    # a candidate that is trained later is judged in the same way
    finished = FinishedSearch.read(tmp_path / "run")
    other = next(c for c in finished.candidates if f"candidate-{c.number}" not in names)
    bars = StageBars(quiet=True)
    export_candidate(finished, other, tmp_path / "other", retrain=True, device="cpu", bars=bars)
    own_parts = folder.glob(f"candidate-{other.number}.train.without-*.inherited.lr*.seed0.val.safetensors")
    assert len(list(own_parts)) == len(sizes)


@pytest.mark.slow
def test_candidates_have_both_losses_which_the_front_and_the_record_hold(finished: SearchResult):
    search = FinishedSearch.read(Path(finished.run))
    assert all(c.shifted_loss is not None and c.shifted_accuracy is not None for c in search.candidates)
    assert not any(c.dropped for c in search.candidates)
    front = search.front()
    losses = [c.loss for c in front]
    shifted = [search.cost(c) for c in front]
    assert losses == sorted(losses, reverse=True)
    assert shifted == sorted(c.shifted_loss or 0 for c in front)
    from optuna import load_study
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    storage = JournalStorage(JournalFileBackend(str(search.folder.journal)))
    study = load_study(study_name="search", storage=storage)
    for trial, candidate in zip(study.trials, search.candidates, strict=True):
        assert trial.values == [candidate.loss, candidate.shifted_loss]
    assert study.metric_names == ["loss", "shifted_loss"]


@pytest.mark.slow
def test_the_stated_rule_chooses(finished: SearchResult):
    search = FinishedSearch.read(Path(finished.run))
    inside = [c for c in search.candidates if c.params <= 0.0075 * search.stage.backbone_params]
    best = RobustRanking(0.1)(inside)[0]
    assert search.pick() == best
    assert finished.selected.name == f"candidate-{best.number}"
    least = min(c.loss for c in inside)
    assert best.loss <= least + 0.1
    assert all((c.shifted_loss or 0) >= (best.shifted_loss or 0) for c in inside if c.loss <= least + 0.1)


@pytest.mark.slow
def test_trainings_are_scored_on_copies_and_those_of_other_objectives_are_not(
    finished: SearchResult, config: SearchConfig
):
    inputs = FinishedSearch.read(Path(finished.run)).inputs(StageBars(quiet=True))
    features = torch.zeros(len(inputs.dataset.train) + len(inputs.dataset.val), inputs.backbone.width)
    recipe = config.method_recipe("subnet")
    training = Training(
        "t",
        "subnet",
        Architecture.empty(inputs.backbone.depth),
        recipe,
        None,
        0,
        "train",
        config.execution("subnet"),
        False,
    )
    shared = inputs.for_trainings(features)
    record, _ = run_training(training, shared, "cpu")
    assert record.images is not None
    assert record.images.shifted_loss is not None
    assert record.images.margin == 0.1
    plain = SearchInputs.of_task(config.model_copy(update={"objective": "accuracy"}), inputs)
    other, _ = run_training(training, plain.for_trainings(features), "cpu")
    assert other.images is not None
    assert other.images.shifted_loss is None
    assert other.val == record.val
    assert (other.images.logits == record.images.logits).all()


def test_what_does_not_fit_the_objective_is_refused(tiny_values: dict[str, Any]):
    for given, message in (
        ({"robust_margin": 0.2}, "give --objective robust, or leave robust_margin out"),
        ({"objective": "robust", "front_cost": "flops"}, "the front is that of two losses"),
        ({"objective": "robust", "searcher": "noah"}, "ranks by accuracy, as published"),
        ({"objective": "robust", "metric": "macro-f1"}, "chooses by two losses whatever the metric"),
    ):
        with pytest.raises(InputError, match=message):
            SearchConfig.of(**tiny_values | given)
