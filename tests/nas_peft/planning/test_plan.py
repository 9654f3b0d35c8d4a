"""The plan for a time: the highest level that fits, around the options that are given."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas_peft.machine.devices import Devices
from nas_peft.machine.ray_session import RayOptions
from nas_peft.planning import plan as plan_module
from nas_peft.planning.levels import AUTOMATIC_LEVEL, IMAGES, LEVELS, options_of
from nas_peft.planning.plan import FILLED, LONGEST_AUTOMATIC, fitting_plan, make_plan, repeated
from nas_peft.run.planned_budget import LEAST_RANK
from nas_peft.run.progress import StageBars
from nas_peft.run.run import Run
from nas_peft.run.run_folder import RunFolder
from nas_peft.run.search_inputs import SearchInputs
from nas_peft.run.single_methods import lora_everywhere
from nas_peft.run.stage_records import PlanRecord, Speeds
from nas_peft.settings.search_config import SearchConfig
from search_spaces import InputError, count_params, load_space

pytestmark = pytest.mark.slow

FAST = Speeds(forward=1e-4, supernet=4e-4, subnet=3e-4, full=4e-4, places=2)


def slower(factor: float) -> Speeds:
    own = {name: getattr(FAST, name) * factor for name in ("forward", "supernet", "subnet", "full")}
    return Speeds(**own, places=2)


def timed(inputs: SearchInputs, **values: Any) -> SearchInputs:
    """The data of ``inputs`` with a configuration in which nothing but these values is given."""
    config = SearchConfig.of(dataset=inputs.config.dataset, **values).on("cpu")
    return replace(inputs, config=config)


def test_full_fine_tuning_is_in_every_plan_that_may_export_it(tiny_inputs: SearchInputs):
    inputs = timed(tiny_inputs, time="auto", allow_full=True)
    plan = fitting_plan(inputs, slower(1e5), 0.0)
    assert (plan.level, plan.set_options["baselines"]) == (1, ["linear", "full"])


@pytest.mark.thorough
@settings(max_examples=10)
@given(st.floats(60, 20_000), st.floats(60, 20_000), st.floats(0.1, 50))
def test_more_time_is_never_a_lower_level_and_the_time_is_kept(
    tiny_inputs: SearchInputs, first: float, second: float, factor: float
):
    plans = []
    for seconds in sorted((first, second)):
        try:
            plans.append(fitting_plan(timed(tiny_inputs, time=f"{seconds:.1f}s"), slower(factor), 5.0))
        except InputError:
            assert not plans
    assert [plan.level for plan in plans] == sorted(plan.level for plan in plans)
    assert all(plan.expected <= FILLED * plan.seconds for plan in plans)


@pytest.mark.thorough
def test_every_level_is_a_configuration_and_takes_longer_than_the_one_before(tiny_inputs: SearchInputs):
    plans = [plan_of_level(tiny_inputs, number) for number in range(1, len(LEVELS) + 1)]
    assert [plan.level for plan in plans] == list(range(1, len(LEVELS) + 1))


def plan_of_level(inputs: SearchInputs, level: int) -> PlanRecord:
    """The plan of the shortest time that is enough for a level."""
    low, high = 1.0, 1e6
    while high > 1.2 * low:
        middle = (low * high) ** 0.5
        try:
            reached = fitting_plan(timed(inputs, time=f"{middle:.2f}s"), FAST, 0.0).level >= level
        except InputError:
            reached = False
        low, high = (low, middle) if reached else (middle, high)
    return fitting_plan(timed(inputs, time=f"{high:.2f}s"), FAST, 0.0)


def test_options_that_are_given_are_kept_and_planned_around(tiny_inputs: SearchInputs):
    free = fitting_plan(timed(tiny_inputs, time="2h"), FAST, 0.0)
    kept = {"epochs": "50", "augmentation": "none", "lr_grid": "1", "start": "pretrained", "retrain": 3}
    around = timed(tiny_inputs, time="2h", **kept)
    plan = fitting_plan(around, FAST, 0.0)
    assert set(kept) & set(free.set_options)
    assert not set(kept) & set(plan.set_options)
    planned = around.config.planned(plan.set_options)
    assert (planned.epochs, planned.augmentation, planned.retrain) == ((50,), ("none",), 3)
    assert not planned.halving  # each row has one number of epochs
    assert (planned.time, planned.preset, planned.fixed) == (None, None, ())


def test_epochs_that_are_given_hold_for_inherited_weights_too(tiny_inputs: SearchInputs):
    inputs = timed(tiny_inputs, time="2h", epochs="8")
    plan = fitting_plan(inputs, FAST, 0.0)
    assert "inherited" in plan.set_options["start"]
    recipes = inputs.config.planned(plan.set_options).searched_recipes()
    assert {r.epochs for r in recipes if r.start == "inherited"} == {4}  # half of those of other rows
    kept = timed(tiny_inputs, time="2h", epochs="8", inherited_epochs="2,8", start="inherited")
    planned = kept.config.planned(fitting_plan(kept, FAST, 0.0).set_options)
    assert planned.inherited_epochs == (2, 8)


def test_output_projections_learn_at_the_usual_rate_and_the_rest_more_slowly(tiny_inputs: SearchInputs):
    def planned(**given: Any) -> SearchConfig:
        inputs = timed(tiny_inputs, time="2h", **given)
        return inputs.config.planned(fitting_plan(inputs, FAST, 0.0).set_options)

    usual = SearchConfig.model_fields["lr"].default
    plan = planned()
    (scale,) = plan.module_scale
    assert scale > 1
    assert plan.lr * scale == pytest.approx(usual)
    assert {recipe.module_scale for recipe in plan.supernet_recipes()} == {1.0}
    assert plan.supernet_recipes()[0].lr == SearchConfig.model_fields["supernet_lr"].default
    (own,) = {recipe.module_scale for recipe in plan.recipes("full")}
    assert own == 1
    given = planned(lr=0.01)  # whoever gives one of the two means it as it is
    assert (given.lr, given.module_scale) == (0.01, (1.0,))
    assert {recipe.lr for recipe in given.recipes("subnet")} == {0.01, 0.003, 0.03}
    shortest = fitting_plan(timed(tiny_inputs, time="auto", lr=0.01), slower(1e6), 0.0)
    assert shortest.set_options["lr_grid"] == [1.0]
    given = planned(module_scale=0.1)
    assert (given.lr, given.module_scale) == (usual, (0.1,))


def test_levels_that_contradict_a_given_option_are_left_out(tiny_inputs: SearchInputs):
    inputs = timed(tiny_inputs, time="auto", full_lr=1e-3)  # the first two levels have no full fine-tuning
    plan = fitting_plan(inputs, FAST, 0.0)
    assert inputs.config.planned(plan.set_options).full_lr == 1e-3
    assert fitting_plan(inputs, slower(1e6), 0.0).level == 3
    grid = timed(tiny_inputs, time="2h", early_stopping=True)  # the first level has one factor
    assert fitting_plan(grid, FAST, 0.0).level == len(LEVELS)
    never = timed(tiny_inputs, time="2h", epochs="8", inherited_epochs="4", halving=True)
    with pytest.raises(InputError, match="halving starts with the fewest epochs"):
        fitting_plan(never, FAST, 0.0)


def test_the_budget_has_room_for_lora_everywhere_on_a_narrow_backbone_too(tiny_inputs: SearchInputs):
    plan = fitting_plan(timed(tiny_inputs, time="2h"), FAST, 0.0)
    planned = tiny_inputs.with_config(timed(tiny_inputs, time="2h").config.planned(plan.set_options))
    room = lora_everywhere(LEAST_RANK, tiny_inputs.backbone.shape)
    assert planned.fits(room)
    assert planned.budget.max_params < 1.1 * count_params(room, tiny_inputs.backbone.shape)
    given = fitting_plan(timed(tiny_inputs, time="2h", budget="1%"), FAST, 0.0)
    assert "budget" not in given.set_options


def test_a_robust_plan_begins_with_augmix_but_for_the_supernet(tiny_inputs: SearchInputs):
    def planned(**values: Any) -> SearchConfig:
        inputs = timed(tiny_inputs, time="2h", **values)
        return inputs.config.planned(fitting_plan(inputs, FAST, 0.0).set_options)

    robust, plain = planned(objective="robust"), planned()
    assert robust.augmentation == ("augmix", *plain.augmentation)
    assert {recipe.augmentation for recipe in robust.supernet_recipes()} == {"none"}
    assert "augmix" not in plain.augmentation
    kept = planned(objective="robust", augmentation="crop")
    assert kept.augmentation == ("crop",)
    assert {recipe.augmentation for recipe in kept.supernet_recipes()} == {"crop"}


def test_a_given_default_is_kept_too(tiny_inputs: SearchInputs):
    default = SearchConfig.model_fields["population"].default
    inputs = timed(tiny_inputs, time="2h", population=default)
    plan = fitting_plan(inputs, FAST, 0.0)
    assert inputs.config.planned(plan.set_options).population == default


def test_auto_is_at_most_an_hour_and_no_level_that_is_not_worth_its_time(tiny_inputs: SearchInputs):
    fast = fitting_plan(timed(tiny_inputs, time="auto"), FAST, 0.0)
    slow = fitting_plan(timed(tiny_inputs, time="auto"), slower(1400), 0.0)
    assert fast.level == AUTOMATIC_LEVEL
    assert slow.level < fast.level
    assert slow.expected <= FILLED * LONGEST_AUTOMATIC
    endless = fitting_plan(timed(tiny_inputs, time="auto"), slower(1e6), 0.0)
    assert endless.level == 1
    assert endless.expected > LONGEST_AUTOMATIC


def test_few_images_are_trained_on_for_as_many_steps(tiny_inputs: SearchInputs):
    level = {"epochs": (8, 24), "supernet_epochs": (4,), "retrain": 2}
    assert options_of(level, 800) == options_of(level, 50_000) == level
    assert options_of(level, 400) == {"epochs": (16, 48), "supernet_epochs": (8,), "retrain": 2}
    assert options_of(level, 3)["epochs"] == (100, 300)


def test_a_preset_is_a_time(tiny_inputs: SearchInputs):
    by_name = fitting_plan(timed(tiny_inputs, preset="standard"), FAST, 0.0)
    assert by_name == fitting_plan(timed(tiny_inputs, time="20m"), FAST, 0.0)


def test_too_little_time_says_how_much_is_needed(tiny_inputs: SearchInputs):
    with pytest.raises(
        InputError, match=r"time is '2s', .* takes about .* here, .*; give --time (\d+)m or more"
    ) as e:
        fitting_plan(timed(tiny_inputs, time="2s"), FAST, 0.0)
    assert len(tiny_inputs.dataset.train) < IMAGES  # fewer would be trained on for more epochs
    assert "--shots" not in str(e.value)
    enough = str(e.value).split("--time ")[1].split()[0]
    fitting_plan(timed(tiny_inputs, time=enough), FAST, 0.0)


def test_options_that_contradict_a_plan_are_named(tiny_inputs: SearchInputs):
    with pytest.raises(InputError, match="no_retrain"):
        timed(tiny_inputs, time="5m", no_retrain=True)
    with pytest.raises(InputError, match="give one of them"):
        timed(tiny_inputs, time="5m", preset="fast")
    with pytest.raises(InputError, match="such as 2h, 5m"):
        timed(tiny_inputs, time="soon")


def test_speeds_are_measured_in_the_space_that_is_planned(
    tiny_inputs: SearchInputs, monkeypatch: pytest.MonkeyPatch
):
    spaces = []

    def noted(inputs: SearchInputs, device: str, ray_options: RayOptions) -> Speeds:
        spaces.append(inputs.space)
        return FAST

    monkeypatch.setattr(plan_module, "measure", noted)
    devices, inputs = Devices("cpu", "cpu"), timed(tiny_inputs, time="2h")
    made = make_plan(inputs, devices, RayOptions(), before=0.0)
    assert made.before > 0  # the measurement itself
    assert spaces == [load_space(made.set_options["space"], 8)]
    assert spaces != [inputs.space]
    make_plan(timed(tiny_inputs, time="2h", space="default"), devices, RayOptions(), before=0.0)
    assert spaces[1] == load_space("default", 8)


@pytest.mark.parametrize(("asked", "expected"), [(RayOptions(), 0.25), (RayOptions(gpus_per_trial=0.5), 0.5)])
def test_trainings_share_a_gpu_as_planned_where_the_user_does_not_say(
    tiny_inputs: SearchInputs, tmp_path: Path, asked: RayOptions, expected: float
):
    speeds = FAST.model_copy(update={"gpu_share": 0.25})
    plan = fitting_plan(timed(tiny_inputs, time="auto"), speeds, 0.0)
    folder = RunFolder.open(tmp_path / "run", tiny_inputs.config, "f")
    run = Run(tiny_inputs, folder, "cuda", StageBars(quiet=True), asked, plan=plan)
    assert run.ray_of_trainings == RayOptions(gpus_per_trial=expected)
    assert run.ray == asked
    again = repeated(plan, timed(tiny_inputs, time="auto"))
    assert again.speeds.gpu_share is None  # that of another machine's GPU
    assert again == plan.model_copy(update={"speeds": again.speeds})


def test_a_plan_that_is_repeated_beside_other_options_fits_them_as_a_new_one_does(tiny_inputs: SearchInputs):
    plan = fitting_plan(timed(tiny_inputs, time="2h"), FAST, 0.0)
    for beside in ({"lr": 0.01}, {"epochs": "8"}, {"seeds": 3}, {"module_scale": 2.0}, {"allow_full": True}):
        inputs = timed(tiny_inputs, time="2h", **beside)
        assert repeated(plan, inputs) == fitting_plan(inputs, FAST, 0.0)
    short = fitting_plan(timed(tiny_inputs, time="auto"), slower(1e6), 0.0)
    assert repeated(short, timed(tiny_inputs, time="auto", allow_full=True)).set_options["baselines"] == [
        "linear",
        "full",
    ]
    with pytest.raises(InputError, match="full_lr is"):
        repeated(short, timed(tiny_inputs, time="auto", full_lr=1e-3))


def test_larger_copies_for_crops_count_where_crops_are_cut(tiny_inputs: SearchInputs):
    inputs = timed(tiny_inputs, time="2h")
    plain, larger = fitting_plan(inputs, FAST, 1.0), fitting_plan(inputs, FAST, 1.0, 100.0)
    assert (plain.before, larger.before) == (1.0, 101.0)
    uncropped = timed(tiny_inputs, time="2h", augmentation="none")
    assert fitting_plan(uncropped, FAST, 1.0, 100.0).before == 1.0


def test_a_head_that_is_counted_is_no_reason_to_refuse_a_search_without_a_budget(tiny_inputs: SearchInputs):
    config = timed(tiny_inputs, time="auto", count_head=True).config
    inputs = SearchInputs.load(config, StageBars(quiet=True))
    plan = fitting_plan(inputs, FAST, 0.0)
    planned = inputs.with_config(config.planned(plan.set_options))
    assert inputs.config.budget == plan.set_options["budget"]
    assert planned.fits(lora_everywhere(LEAST_RANK, tiny_inputs.backbone.shape))
