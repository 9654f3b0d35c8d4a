"""Parts of a shared module act in their own layer, and have no weights of their own."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn

from search_spaces import Architecture, BackboneShape
from supernet import Supernet, random_backbone
from supernet.modules import ElasticModule, InLayer, Place

Build = Callable[..., ElasticModule]


@torch.no_grad()
def test_a_part_is_the_module_with_the_index_of_its_layer(
    shape: BackboneShape, build: Build, ends: dict[Place, tuple[int, int]], draw: Callable[..., Tensor]
):
    module = build("fact_rank", shape)
    parts = [InLayer(module, index) for index in range(shape.depth)]
    for place in module.places:
        x, y = draw(3, 5, ends[place][0]), draw(3, 5, ends[place][1], seed=2)
        for size in (2, torch.tensor([0, 1, 5])):
            found = [part(place, x, y.clone(), size) for part in parts]
            expected = [module(place, x, y.clone(), size, index) for index in range(shape.depth)]
            assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
            assert not torch.equal(found[0], found[1])
        weight, bias = draw(ends[place][1], ends[place][0]), draw(ends[place][1], seed=3)
        merged = [part.merge(place, weight, bias)[0] for part in parts]
        assert torch.equal(merged[0], module.merge(place, weight, bias)[0])
        assert not torch.equal(merged[0], merged[1])


def test_a_part_has_no_parameters_and_draws_nothing(shape: BackboneShape, build: Build):
    module = build("fact_rank", shape)
    part = InLayer(module, 1)
    before = {name: value.clone() for name, value in module.named_parameters()}
    part.reset(torch.Generator().manual_seed(0))
    assert not list(part.parameters())
    assert not part.state_dict()
    assert all(torch.equal(value, before[name]) for name, value in module.named_parameters())
    assert (part.kind, part.places, part.capacity) == (module.kind, module.places, module.capacity)


@torch.no_grad()
def test_a_copied_network_has_parts_of_its_own_module():
    micro = random_backbone("vit_micro_patch8_32", 0)
    a = Architecture.of(micro.depth, {"fact_rank": [2] + [0] * (micro.depth - 1)})
    network = Supernet(micro.model, a, 3).eval()
    assert [name for name, _ in network.layers.named_parameters()] == [
        f"0.fact_rank.{name}" for name in ("down", "core", "up")
    ]
    for value in network.layers.parameters():
        nn.init.normal_(value, generator=torch.Generator().manual_seed(0))
    copied = copy.deepcopy(network)
    images = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    expected = network(images)
    for value in network.layers.parameters():
        value.zero_()
    assert torch.equal(copied(images), expected)
    assert not torch.equal(network(images), expected)
