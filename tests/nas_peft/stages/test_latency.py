"""Latency as the cost of a front: measured once, kept in the run folder, and then the same for ever."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest

from nas_peft.front.plot import plot_front
from nas_peft.front.table import front_tables
from nas_peft.main_job import search
from nas_peft.run.finished_search import FinishedSearch
from nas_peft.run.json_file import read_json
from nas_peft.run.progress import StageBars
from nas_peft.run.run import Run
from nas_peft.run.run_folder import RunFolder
from nas_peft.run.search_inputs import SearchInputs
from nas_peft.run.stage_records import LatencyRecord
from nas_peft.settings.search_config import SearchConfig
from nas_peft.stages import latency as stages
from nas_peft.stages.latency import latency_stage, measure_table, rising
from search_spaces import Architecture, InputError, KindChoices, SearchSpace
from supernet import Backbone

pytestmark = pytest.mark.slow

QUIET = StageBars(quiet=True)


@pytest.fixture(scope="module", autouse=True)
def short_measurements() -> Iterator[None]:
    real = stages.measure_latencies

    def short(*arguments: Any, **more: Any) -> Any:
        return real(*arguments, **more | {"rounds": (2, 2)})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stages, "measure_latencies", short)
        yield


@pytest.fixture(scope="module")
def finished(tiny_values: dict[str, Any], tmp_path_factory, short_measurements: None) -> Path:
    """A whole run whose front is of loss against latency."""
    out: Path = tmp_path_factory.mktemp("runs") / "latency"
    config = SearchConfig.of(**tiny_values | {"retrain": 3}, front_cost="latency", no_retrain=True)
    search(config, out, device="cpu")
    return out


def test_every_kind_and_size_of_a_space_has_a_time(backbone: Backbone):
    space = SearchSpace(
        "some",
        backbone.depth,
        (
            ("lora_rank", KindChoices((0, 1, 2, 3, 4, 6, 8))),
            ("shallow_prompt_tokens", KindChoices((4,), (0, 1))),
            ("ssf", KindChoices((0, 6))),
        ),
    )
    table, how = measure_table(backbone, space, 3, batch_size=2, device="cpu", seed=0)
    assert table.base > 0
    sizes = {kind: [size for size, _ in points] for kind, points in table.added}
    assert sizes == {"lora_rank": [0, 1, 3, 4, 8], "shallow_prompt_tokens": [0, 4], "ssf": [0, 6]}
    assert table.latency(space.largest()) >= table.latency(Architecture.empty(space.depth)) == table.base
    assert how["networks"].keys() >= {"none", "lora_rank-1", "lora_rank-8", "ssf-6"}
    assert (how["batch_size"], how["rounds"], how["modules"]) == (2, 2, "not merged")


def test_a_layer_has_its_share_of_what_all_layers_add(backbone: Backbone, monkeypatch):
    space = SearchSpace(
        "two",
        backbone.depth,
        (
            ("lora_rank", KindChoices((0, 2))),
            ("shallow_prompt_tokens", KindChoices((4,), (0, 1))),
        ),
    )
    monkeypatch.setattr(stages, "measure_latencies", lambda *_, **__: np.array([[10.0, 18.0, 13.0]]))
    table, _ = measure_table(backbone, space, 3, batch_size=2, device="cpu", seed=0)
    assert table.base == pytest.approx(10)
    assert dict(table.added)["lora_rank"][1] == (2, pytest.approx(1))  # in each of eight layers
    assert dict(table.added)["shallow_prompt_tokens"][1] == (4, pytest.approx(3))


def test_noise_makes_no_larger_module_faster():
    shares = {("a", 1): 0.5, ("a", 2): 0.3, ("a", 4): 0.6, ("b", 1): -0.2}
    assert rising(shares, "a") == ((0, 0.0), (1, 0.4), (2, 0.4), (4, 0.6))
    assert rising(shares, "b") == ((0, 0.0), (1, 0.0))


def test_it_is_measured_once(tiny_inputs: SearchInputs, tmp_path: Path, monkeypatch):
    folder = RunFolder.open(tmp_path / "run", tiny_inputs.config)
    inputs = replace(tiny_inputs, space=SearchSpace("s", 8, (("lora_rank", KindChoices((0, 2))),)))
    record = latency_stage(Run(inputs, folder, "cpu", QUIET))
    monkeypatch.setattr(stages, "measure_latencies", lambda *_, **__: pytest.fail("measured again"))
    again = latency_stage(Run(inputs, folder, "cpu", QUIET))
    assert again == record
    assert again.latency_table() == record.latency_table()
    content = read_json(folder.path / "stages" / "latency.json")
    assert record.model_dump(mode="json") == content
    assert record.unit == "milliseconds of a batch"
    assert record.batch_size == inputs.config.latency_batch_size
    assert {"device", "torch"} <= record.environment.keys()
    assert record.threads >= 1


@pytest.mark.thorough
def test_a_search_weighs_loss_against_latency(finished: Path):
    found = FinishedSearch.read(finished)
    stage = found.folder.read_stage("latency", LatencyRecord)
    assert stage is not None
    table = stage.latency_table()
    assert [c.latency for c in found.candidates] == [table.latency(c.architecture) for c in found.candidates]
    front = found.front()
    costs = [found.cost(c) for c in front]
    assert costs == [c.latency for c in front] == sorted(costs)


@pytest.mark.thorough
def test_the_record_names_its_objectives(finished: Path):
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    backend = optuna.storages.journal.JournalFileBackend(str(finished / "study.journal"))
    study = optuna.load_study(study_name="search", storage=optuna.storages.JournalStorage(backend))
    assert study.metric_names == ["loss", "latency"]
    whole = [t for t in study.trials if t.state == optuna.trial.TrialState.COMPLETE]
    assert whole
    assert all(t.values[1] == t.user_attrs["latency"] for t in whole)
    best = {t.user_attrs["number"] for t in study.best_trials}
    assert {c.number for c in FinishedSearch.read(finished).front()} <= best


@pytest.mark.thorough
def test_the_front_says_on_what_it_was_measured(finished: Path, tmp_path: Path):
    from rich.console import Console

    found = FinishedSearch.read(finished)
    front = found.front()
    console = Console(width=120)
    with console.capture() as captured:
        for table in front_tables(found, front, front[0], 120):
            console.print(table)
    assert " ms " in captured.get()
    assert "of a batch of 8 on" in " ".join(captured.get().split())
    file = tmp_path / "front.svg"
    plot_front(file, found.candidates, front, front[0], cost=found.cost, cost_name="latency", title="t")
    assert file.stat().st_size > 10**4


def test_a_batch_size_without_a_latency_is_a_mistake():
    with pytest.raises(InputError, match=r"latency_batch_size is 4.*--front-cost latency"):
        SearchConfig.of(dataset="digits", latency_batch_size=4)
