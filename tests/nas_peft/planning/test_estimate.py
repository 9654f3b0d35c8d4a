"""The expected seconds of each stage."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nas_peft.planning.estimate import StageTimes
from nas_peft.protocol.halving import LATE_STAGE
from nas_peft.run.progress import StageBars
from nas_peft.run.search_inputs import SearchInputs
from nas_peft.run.stage_records import Speeds
from nas_peft.settings.search_config import SearchConfig
from nas_peft.stages.latency import SECONDS

pytestmark = pytest.mark.slow

SPEEDS = Speeds(forward=1e-3, supernet=4e-3, subnet=3e-3, full=4e-3, places=1)


@pytest.fixture(scope="module")
def stage_times(tiny_values: dict[str, Any]) -> Callable[..., StageTimes]:
    inputs = SearchInputs.load(SearchConfig.of(**tiny_values).on("cpu"), StageBars(quiet=True))

    def of(places: int = 1, **changes: Any) -> StageTimes:
        config = SearchConfig.of(**tiny_values | changes).on("cpu")
        return StageTimes(inputs.with_config(config), SPEEDS.model_copy(update={"places": places}))

    return of


@pytest.fixture(scope="module")
def times(stage_times: Callable[..., StageTimes]) -> Callable[..., dict[str, float]]:
    return lambda **given: stage_times(**given).all()


@pytest.fixture(scope="module")
def courses(stage_times: Callable[..., StageTimes]) -> Callable[..., list[dict[str, float]]]:
    return lambda **given: stage_times(**given).courses()


def test_the_stages_have_the_names_and_the_order_of_a_run(times, finished_run):
    assert list(times()) == list(finished_run.stages)


def test_each_stage_is_explained(stage_times):
    page = (Path(__file__).parents[3] / "docs" / "output.md").read_text(encoding="utf-8")
    table = page.split("### Stages")[1].split("## JSON lines")[0]
    grid = {"lr_grid": "1,3", "augmentation": "none,crop", "epochs": "10,20,40", "halving": True, "seeds": 2}
    for given in (
        {"start": "inherited", "baselines": "all,noah", "soup": 2, "front_cost": "latency"},
        {"average": 2, "lr_grid": "1,3"},
        grid,
    ):
        for name in stage_times(**given).all(2, late=True):
            assert f"`{name}`" in table, name


def test_epochs_candidates_and_seeds_cost_in_proportion(times):
    once, twice = times(epochs=100), times(epochs=200)
    assert twice["retraining"] == pytest.approx(2 * once["retraining"], rel=0.1)
    assert twice["final training"] == pytest.approx(2 * once["final training"], rel=0.1)
    assert times(population=12)["search"] == pytest.approx(2 * times()["search"])
    assert times(supernet_epochs=20)["supernet"] == pytest.approx(10 * times()["supernet"])
    assert times(epochs=100, seeds=3)["test"] == pytest.approx(3 * once["test"])
    assert once["supernet"] == times()["supernet"]


def test_where_subnets_inherit_the_supernet_is_trained_again_on_more_images(times):
    long, folded = {"start": "inherited", "supernet_epochs": 20}, {"folds": 3, "supernet_epochs": 20}
    new, inherited = times(supernet_epochs=20), times(**long)
    assert set(inherited) - set(new) == {"final supernet"}
    assert inherited["supernet"] == new["supernet"] < inherited["final supernet"] < 1.5 * new["supernet"]
    assert times(**long | folded)["final supernet"] == pytest.approx(inherited["final supernet"] / 2)


def test_a_mean_of_trainings_is_of_one_row(times):
    once, mean = times(), times(average=3)
    assert [name for name in mean if name not in once] == [
        *("mean of orders", "averaging", "final mean", "final averaging")
    ]
    assert list(mean)[-1] == "test"
    several = times(average=5)
    assert several["mean of orders"] == pytest.approx(2 * mean["mean of orders"])
    assert several["final mean"] == pytest.approx(2 * mean["final mean"])
    assert mean["final mean"] < 2 * once["final training"]  # of which there are more rows


def test_two_places_take_half_of_the_time(times):
    one, two = times(epochs=50), times(places=2, epochs=50)
    assert one["retraining"] / two["retraining"] == pytest.approx(2, rel=0.25)
    assert one["supernet"] == two["supernet"]


def test_halving_costs_less_than_all_recipes_for_all(times):
    grid = {"lr_grid": "0.3,1,3", "augmentation": "none,crop", "epochs": "20,80"}
    whole, halved = times(**grid), times(**grid, halving=True)
    rounds = [name for name in halved if name.startswith("recipes")]
    assert rounds == ["recipes 1", "recipes 2"]
    assert sum(halved[name] for name in rounds) < 0.5 * whole["recipes"]
    assert halved["final training"] < whole["final training"]


def test_late_choices_are_a_course_of_their_own_where_the_rounds_end_before_they_join(courses):
    grid = {"lr_grid": "1,3", "augmentation": "none,crop", "epochs": "10,20,40", "halving": True}
    names = [[name for name in course if name.startswith("recipes")] for course in courses(**grid)]
    early = ["recipes 1", "recipes 2"]
    assert names == [early, [*early, LATE_STAGE], [*early, "recipes 3"]]
    totals = [sum(course.values()) for course in courses(**grid)]
    assert totals == sorted(totals)
    assert len(courses(**grid | {"augmentation": "none"})) == 2
    assert len(courses(**grid | {"epochs": "10,20"})) == 1


def test_a_longer_sequence_costs_more(times):
    prompts = times(singles="prompt_tokens", budget="4%", epochs=50, baselines="linear")
    lora = times(singles="lora_rank", budget="4%", epochs=50, baselines="linear")
    assert prompts["retraining"] > 1.2 * lora["retraining"]


def test_scoring_on_corrupted_copies_costs_time_in_search_and_trainings(times):
    plain, robust = times(racing=False), times(objective="robust")
    assert robust["search"] == pytest.approx(5 * plain["search"])  # four copies of each image
    assert robust["retraining"] > plain["retraining"]
    assert robust["supernet"] == plain["supernet"]


def test_every_class_balance_has_linear_probes_of_its_own(times):
    once, twice = times(linear_epochs=1000), times(linear_epochs=1000, class_balance="none,weighted")
    assert twice["linear probe"] > 1.8 * once["linear probe"]
    retrained = times(linear_epochs=1000, class_balance="sampled,head-retrained")  # one probe for both
    assert retrained["linear probe"] == once["linear probe"]


def test_noah_has_stages_of_its_own(times, tiny_values):
    found = times(baselines="linear,noah")
    assert list(found)[3:5] == ["NOAH's supernet", "NOAH's search"]


def test_pruned_lora_is_trained_for_half_of_the_epochs_before_the_others(times):
    once, twice = (times(baselines="linear,lora-pruned", epochs=epochs) for epochs in (100, 200))
    assert list(once)[3] == "LoRA before pruning"
    assert twice["LoRA before pruning"] == pytest.approx(2 * once["LoRA before pruning"], rel=0.1)
    alone = times(baselines="linear", epochs=100)
    assert 0 < once["retraining"] - alone["retraining"] < alone["retraining"] / 2


def test_soups_cost_their_ingredients_and_the_scoring_of_averages(times):
    without, with_soups = times(epochs=50), times(epochs=50, soup=3)
    own = set(with_soups) - set(without)
    assert own == {"soups", "averaging", "final soups"}
    assert list(with_soups)[-4:] == ["soups", "averaging", "final soups", "test"]
    # two more trainings of the searched subnet and of full fine-tuning
    more = times(epochs=50, soup=5)
    assert more["soups"] == pytest.approx(2 * with_soups["soups"])
    assert more["final soups"] == pytest.approx(2 * with_soups["final soups"])
    assert with_soups["test"] > without["test"]


def test_measuring_latency_has_its_seconds(times):
    assert times(front_cost="latency")["latency"] == SECONDS
