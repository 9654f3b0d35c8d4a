"""The plan of a search: the highest level of effort that fits into the time."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from nas_peft.data.larger_images import FACTOR, seconds_of_larger_images
from nas_peft.machine.devices import Devices
from nas_peft.machine.ray_session import RayOptions
from nas_peft.planning.estimate import StageTimes
from nas_peft.planning.levels import AUTOMATIC_LEVEL, IMAGES, LEVELS, options_of
from nas_peft.planning.speeds import measure
from nas_peft.run.search_inputs import SearchInputs
from nas_peft.run.stage_records import PlanRecord, Speeds
from nas_peft.settings.durations import AUTO, in_words, seconds_of
from nas_peft.settings.search_config import SearchConfig
from search_spaces import InputError

FILLED = 0.9
"""Share of the time that a plan may take; the rest is for what the estimate misses."""

LONGEST_AUTOMATIC = 3600.0
"""Seconds that a run may take whose time is ``auto``."""


def make_plan(
    inputs: SearchInputs, devices: Devices, ray_options: RayOptions, *, before: float
) -> PlanRecord:
    """The plan for the time in the configuration of ``inputs``; the speeds are measured now.

    Options that the user gave are kept, and levels that contradict them are left out. ``before`` are the
    seconds that the command has taken so far. If not even the lowest level fits, that is the plan for
    ``auto``; for another time `InputError` is raised.
    """
    started = time.perf_counter()
    speeds = measure(_at_most(inputs), devices, ray_options)
    larger = seconds_of_larger_images(inputs.dataset, inputs.preprocessing.enlarged(FACTOR).to_tensor)
    return fitting_plan(inputs, speeds, before + time.perf_counter() - started, larger)


def _at_most(inputs: SearchInputs) -> SearchInputs:
    """The inputs by the highest level, in whose space the supernet's speed is measured."""
    return inputs.with_config(inputs.config.planned(_options(inputs, LEVELS[-1])))


def _options(inputs: SearchInputs, level: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a level, for this number of training images, that the user did not give."""
    of_level = options_of(level, len(inputs.dataset.train))
    of_level["budget"] = inputs.planned_budget
    if inputs.config.robust and "augmentation" not in inputs.config.fixed:
        # of all augmentations the one that lowers the loss on shifted images (docs/robustness.md)
        of_level["augmentation"] = ("augmix", *of_level["augmentation"])
        of_level["supernet_augmentation"] = of_level["augmentation"][1:2]
    return beside_given(of_level, inputs.config)


def beside_given(options: Mapping[str, Any], given: SearchConfig) -> dict[str, Any]:
    """Those of a plan's ``options`` that go with the options that the user gave."""
    found = dict(options)
    if "epochs" in given.fixed:
        # lengths from inherited weights follow those that the user gave; the plan's would be unequal
        found.pop("inherited_epochs", None)
    if {"lr", "module_scale"} & set(given.fixed):  # they belong together
        found.pop("lr", None)
        found.pop("module_scale", None)
    if "lr" in given.fixed and "lr_grid" in found:  # who gives a rate means it as it is
        first = found["lr_grid"][0]
        found["lr_grid"] = tuple(float(f"{factor / first:.6g}") for factor in found["lr_grid"])
    if given.soup:  # its averages take the place of the plan's
        found.pop("average", None)
    if given.allow_full and "baselines" in found:
        found["baselines"] = tuple(dict.fromkeys((*found["baselines"], "full")))
    return {name: value for name, value in found.items() if name not in given.fixed}


def fitting_plan(inputs: SearchInputs, speeds: Speeds, before: float, larger: float = 0.0) -> PlanRecord:
    """The plan of the highest level whose estimate fits; see `make_plan`.

    ``larger`` are the seconds of decoding larger copies for crops, which levels with crops need beforehand.
    """
    given = inputs.config
    assert given.chosen_time is not None  # a plan is made for a time
    automatic = given.chosen_time == AUTO
    limit = LONGEST_AUTOMATIC if automatic else seconds_of(given.chosen_time)
    plans: list[PlanRecord] = []
    contradiction: InputError | None = None
    for number, level in enumerate(LEVELS[:AUTOMATIC_LEVEL] if automatic else LEVELS):
        options = _options(inputs, level)
        try:
            planned = given.planned(options)
        except InputError as error:  # as --full-lr does a level that has no full fine-tuning
            contradiction = error
            continue
        recorded = planned.to_dict()
        shortest, *longer = StageTimes(inputs.with_config(planned), speeds).courses()
        plans.append(
            PlanRecord(
                time=given.chosen_time,
                seconds=limit,
                before=before + (larger if planned.cuts_crops else 0.0),
                level=number + 1,
                levels=len(LEVELS),
                set_options={name: recorded[name] for name in options},
                speeds=speeds,
                stages=shortest,
                lengthened=longer,
            )
        )
    if contradiction is not None and not plans:
        raise contradiction
    fitting = [plan for plan in plans if plan.longest <= FILLED * limit]
    if not fitting and automatic:
        return plans[0]  # who names no time is not turned away; the plan says how long it takes
    if not fitting:
        least = min(plans, key=lambda plan: plan.longest)
        raise InputError(
            f"time is '{given.chosen_time}', and the shortest plan for these data and this backbone takes "
            f"about {in_words(least.longest)} here, with a tenth of the time kept for what that estimate "
            f"misses; give --time {_minutes(least.longest / FILLED)} or more, "
            # fewer images than these are trained on for more epochs
            f"{'fewer images (--shots), ' if len(inputs.dataset.train) > IMAGES else ''}or a smaller backbone"
        )
    return fitting[-1]


def repeated(plan: PlanRecord, inputs: SearchInputs) -> PlanRecord:
    """An earlier ``plan`` beside what the user gives now, with the stages that follow.

    Its speeds stay, but for the share of that machine's GPU. Raises `InputError` for options that contradict
    the plan.
    """
    planned = inputs.config.planned(options := beside_given(plan.set_options, inputs.config))
    recorded = planned.to_dict()
    speeds = plan.speeds.model_copy(update={"gpu_share": None})
    shortest, *longer = StageTimes(inputs.with_config(planned), speeds).courses()
    return plan.model_copy(
        update={
            "set_options": {name: recorded[name] for name in options},
            "speeds": speeds,
            "stages": shortest,
            "lengthened": longer,
        }
    )


def _minutes(seconds: float) -> str:
    return f"{int(seconds // 60) + 1}m"
