"""Which architectures the supernet is trained on, by what the configuration says."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from nas_peft.run.search_inputs import SearchInputs
from nas_peft.settings.search_config import SearchConfig
from nas_peft.stages.supernet_chooser import covering, fewest, supernet_chooser
from search_spaces import (
    Architecture,
    BackboneShape,
    Budget,
    SearchSpace,
    count_params,
    load_space,
    sampler_around,
)
from supernet import ArchitectureBatch, Groups, OnePath, OnePerImage, Sandwich


def inputs_of(tiny_inputs: SearchInputs, tiny_values: dict[str, Any], **changes: Any) -> SearchInputs:
    return replace(tiny_inputs, config=SearchConfig.of(**tiny_values | changes))


@pytest.mark.parametrize(
    ("name", "made"),
    [("one-per-image", OnePerImage), ("one-path", OnePath), ("groups", Groups), ("sandwich", Sandwich)],
)
def test_each_name_is_a_chooser_that_draws_what_the_searcher_looks_at(
    tiny_inputs: SearchInputs, tiny_values: dict[str, Any], name: str, made: type
):
    chooser = supernet_chooser(inputs_of(tiny_inputs, tiny_values, chooser=name))
    assert type(chooser) is made
    step = chooser(np.random.default_rng(0), 6)
    assert step.distil is False
    passes = [a for a in step.passes if isinstance(a, Architecture)]
    assert all(tiny_inputs.in_range(a) for a in passes)
    assert all(a.sizes.shape[0] == 6 for a in step.passes if isinstance(a, ArchitectureBatch))


def test_options_arrive(tiny_inputs: SearchInputs, tiny_values: dict[str, Any]):
    groups = supernet_chooser(inputs_of(tiny_inputs, tiny_values, chooser="groups", groups=3))
    assert isinstance(groups, Groups)
    assert groups.groups == 3
    sandwich = supernet_chooser(inputs_of(tiny_inputs, tiny_values, chooser="sandwich", distil=True))
    assert sandwich(np.random.default_rng(0), 6).distil is True


def within(tiny_inputs: SearchInputs, space: SearchSpace, budget: int) -> SearchInputs:
    shape: BackboneShape = tiny_inputs.backbone.shape
    sampler = sampler_around(space, shape, budget)
    limit = Budget.parse(str(budget), backbone_params=tiny_inputs.backbone.params, count_head=False)
    largest = count_params(space.largest(), shape)
    return replace(tiny_inputs, space=space, budget=limit, sampler=sampler, front_limit=min(budget, largest))


@pytest.mark.parametrize("name", ["default", "noah-vtab", "noah-fewshot"])
@pytest.mark.parametrize("budget", [12_000, 60_000, 10_000_000])
def test_the_largest_covers_every_draw_and_no_module_is_larger_than_the_budget_allows(
    tiny_inputs: SearchInputs, name: str, budget: int
):
    inputs = within(tiny_inputs, load_space(name, 8), budget)
    largest, rng = covering(inputs), np.random.default_rng(0)
    assert inputs.space.largest().covers(largest)
    assert all(largest.covers(inputs.sampler.sample(rng)) for _ in range(100))
    assert largest.covers(fewest(inputs))
    for kind in largest.kinds:
        for layer, size in enumerate(largest[kind]):
            sizes = [0] * 8
            sizes[layer] = size
            assert inputs.fits(Architecture.of(8, {kind: sizes}))
    if budget == 10_000_000:
        assert largest == inputs.space.largest()


def test_the_smallest_has_the_fewest_parameters_of_all(tiny_inputs: SearchInputs):
    inputs = within(tiny_inputs, load_space("default", 8), 12_000)
    assert fewest(inputs) == Architecture.of(8, {"prompt_tokens": [1] + [0] * 7})
    assert count_params(fewest(inputs), inputs.backbone.shape) == 128
