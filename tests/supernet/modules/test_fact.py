"""FacT is one low-rank update for each block of every layer's projections, between two shared factors."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from fact_reference import fact_updates
from torch import Tensor

from search_spaces import BackboneShape
from supernet.modules import ElasticModule, FacT, Place

PLACES: tuple[Place, ...] = ("qkv", "proj", "fc1", "fc2")
Build = Callable[..., FacT]
Ends = dict[Place, tuple[int, int]]
Draw = Callable[..., Tensor]


@pytest.mark.parametrize("layer", [0, 2])
@torch.no_grad()
def test_each_projection_of_a_layer_gets_its_blocks(
    shape: BackboneShape, build: Build, ends: Ends, draw: Draw, layer: int
):
    module = build("fact_rank", shape)
    for place, update in fact_updates(dict(module.named_parameters()), layer, shape).items():
        x, y = draw(2, 5, ends[place][0]), draw(2, 5, ends[place][1], seed=2)
        found = module(place, x, y.clone(), module.capacity, layer)
        torch.testing.assert_close(found, y + x @ update, atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("layer", [1, 2])
@torch.no_grad()
def test_the_merged_projections_of_a_layer_have_its_blocks(
    shape: BackboneShape, build: Build, ends: Ends, draw: Draw, layer: int
):
    module = build("fact_rank", shape)
    for place, update in fact_updates(dict(module.named_parameters()), layer, shape).items():
        inputs, outputs = ends[place]
        weight, bias = draw(outputs, inputs), draw(outputs, seed=2)
        merged, same = module.merge(place, weight, bias, layer)
        torch.testing.assert_close(merged, weight + update.T, atol=1e-4, rtol=1e-5)
        assert torch.equal(same, bias)


@torch.no_grad()
def test_no_two_places_or_layers_share_a_matrix(shape: BackboneShape, build: Build, ends: Ends, draw: Draw):
    """Every matrix changes one place of one layer."""
    module = build("fact_rank", shape, 2)

    def outputs() -> list[Tensor]:
        inputs = {place: draw(1, 1, ends[place][0]) for place in PLACES}
        return [
            module(place, x, torch.zeros(1, 1, ends[place][1]), 2, layer)
            for layer in range(shape.depth)
            for place, x in inputs.items()
        ]

    before, changed = outputs(), []
    for block in range(module.core.shape[1]):
        module.core[:, block] += 1
        after = outputs()
        changed += [[i for i, (a, b) in enumerate(zip(before, after, strict=True)) if not torch.equal(a, b)]]
        before = after
    assert all(len(places) == 1 for places in changed)
    assert changed == sorted(changed)
    assert {places[0] for places in changed} == set(range(shape.depth * len(PLACES)))


def test_initial_values_are_the_published_ones_at_its_rank():
    """Those of linear layers of 768 and of 16 inputs, and zeros."""
    module = FacT(BackboneShape.vit(768), 16)
    module.reset(torch.Generator().manual_seed(0))
    assert module.down.abs().max().item() == pytest.approx(1 / math.sqrt(768), rel=1e-3)
    assert module.core.abs().max().item() == pytest.approx(1 / math.sqrt(16), rel=1e-3)
    assert not module.up.any()


def test_it_is_a_kind_of_the_first_layer(shape: BackboneShape, build: Build):
    module: ElasticModule = build("fact_rank", shape)
    assert {name: tuple(value.shape) for name, value in module.tensors_at(2).items()} == {
        "down": (2, shape.width),
        "core": (2, module.get_parameter("core").shape[1], 2),
        "up": (2, shape.width),
    }
