"""NOAH as published, among the baselines of a comparison."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from nas_peft.baselines_job import compare_baselines
from nas_peft.main_job import search
from nas_peft.run.progress import StageBars
from nas_peft.run.results import SearchResult
from nas_peft.run.task_inputs import TaskInputs
from nas_peft.settings.baselines_config import BaselinesConfig
from nas_peft.settings.search_config import SearchConfig
from nas_peft.stages import noah
from nas_peft.stages.noah import noah_config, noah_inputs
from search_spaces import Architecture, InputError, count_params, load_space
from search_spaces.streams import stream

FIELDS = ("dataset", "batch_size", "epochs", "head_epochs", "linear_epochs")


@pytest.fixture(scope="module")
def values(tiny_values: dict[str, Any]) -> dict[str, Any]:
    return {name: tiny_values[name] for name in FIELDS} | {"baselines": "linear,noah"}


def test_its_search_is_the_published_one(values: dict[str, Any]):
    config = BaselinesConfig.of(
        **values | {"epochs": 100, "lr": 1e-3, "seed": 3, "budget": "0.7%"}, seeds=3, lr_grid="0.3,1", soup=0
    )
    found = noah_config(config)
    assert (found.space, found.searcher, found.chooser) == ("noah-vtab", "noah", "one-path")
    assert (found.population, found.generations, found.racing) == (50, 16, False)
    (recipe,) = found.supernet_recipes()
    assert (recipe.epochs, recipe.lr) == (500, 1e-3)
    assert (found.seed, found.budget, found.dataset) == (3, "0.7%", config.dataset)


@contextmanager
def short_search() -> Iterator[None]:
    """A search of NOAH's kind that ends in seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(noah, "POPULATION", 6)
        patch.setattr(noah, "GENERATIONS", 2)
        yield


@pytest.fixture(scope="module")
def compared(values: dict[str, Any], ray_address: str, tmp_path_factory: Any) -> SearchResult:
    folder = tmp_path_factory.mktemp("runs") / "noah"
    with short_search():
        return compare_baselines(BaselinesConfig.of(**values), folder, device="cpu")


@pytest.mark.thorough
def test_what_only_a_comparison_has_is_not_asked_of_its_search(values: dict[str, Any]):
    several = values | {"epochs": "1,2", "halving": True, "seeds": 2, "soup": 2, "allow_full": True}
    config = SearchConfig.of(**several | {"baselines": "linear,full,noah"})
    found = noah_config(config)
    assert (found.halving, found.allow_full, found.soup, found.seeds) == (False, False, 0, 1)


def test_what_its_search_finds_is_a_baseline(compared: SearchResult):
    row = next(r for r in compared.rows if r.name == "noah")
    assert (row.label, row.group, row.method) == ("NOAH as published", "baseline", "subnet")
    found = Architecture.from_dict(row.architecture)
    assert found in load_space("noah-vtab", 8)
    assert 0 < row.module_params <= compared.budget["max_params"]
    assert row.tested
    assert not row.selected
    stages = list(compared.stages)
    assert stages[:3] == ["linear probe", "NOAH's supernet", "NOAH's search"]
    assert compared.stages["NOAH's supernet"].image_passes == 5 * compared.dataset["counts"]["train"]
    assert compared.test_opened.decision["tested"]["noah"] == row.architecture
    assert (Path(compared.run) / "noah" / "study.journal").is_file()


@pytest.mark.thorough
@pytest.mark.thorough
def test_a_run_that_was_stopped_does_not_search_again(compared: SearchResult, values: dict[str, Any]):
    run = Path(compared.run)
    weights = (run / "noah" / "supernet.safetensors").stat().st_mtime_ns
    (run / "results.json").unlink()
    with short_search():
        again = compare_baselines(BaselinesConfig.of(**values), run, device="cpu")
    assert again.rows == compared.rows
    assert (run / "noah" / "supernet.safetensors").stat().st_mtime_ns == weights


@pytest.mark.thorough
@pytest.mark.usefixtures("ray_address")
def test_a_search_may_have_it_beside_it(values: dict[str, Any], tmp_path: Path):
    sizes = {"population": 4, "generations": 1, "supernet_epochs": 1, "retrain": 1}
    config = SearchConfig.of(**values | sizes | {"baselines": "noah"})
    with short_search():
        result = search(config, tmp_path / "run", device="cpu")
    names = [row.name for row in result.rows]
    assert names[-1] == "noah"
    assert [name for name in names if name.startswith("candidate-")]
    assert "supernet" in result.stages
    assert "NOAH's supernet" in result.stages


def test_its_supernet_is_trained_on_uniform_draws(values: dict[str, Any]):
    task = TaskInputs.of_single_methods(BaselinesConfig.of(**values), StageBars(quiet=True))
    inputs = noah_inputs(task)
    assert inputs is not None
    space = load_space("noah-vtab", 8)
    drawn = [of.sample(stream(0, "draw")) for of in (inputs.training_sampler, space)]
    assert drawn[0] == drawn[1]
    assert inputs.training_limit == count_params(space.largest(), task.backbone.shape)


def test_nothing_is_loaded_for_it_where_it_is_not_asked_for(values: dict[str, Any]):
    config = BaselinesConfig.of(**values | {"baselines": "all"})
    task = TaskInputs.of_single_methods(config, StageBars(quiet=True))
    assert noah_inputs(task) is None


def test_a_budget_that_is_too_small_for_its_space_is_named(values: dict[str, Any], tmp_path: Path):
    config = BaselinesConfig.of(**values | {"budget": "1100"})
    with pytest.raises(InputError, match=r"the baseline 'noah': .*; raise the budget, or leave noah out of"):
        compare_baselines(config, tmp_path / "run", device="cpu")
    assert not (tmp_path / "run").exists()
