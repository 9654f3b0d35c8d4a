"""L2-SP for modules: pulled to the pretrained function, for each kind; packs as alone."""

from __future__ import annotations

import pytest
import torch
from sweep import sweep

from search_spaces import KINDS, Architecture, InputError
from supernet import Backbone, Preprocessing, Supernet, create_backbone, train, train_pack
from supernet.choosers import Constant
from supernet.modules.elastic import ELASTIC
from supernet.penalty import ModulePull, pretrained_value
from supernet.recipe import Recipe

GENERATOR = torch.Generator()


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    return create_backbone("vit_micro_patch8_32")


def network_of(backbone: Backbone, kind: str, size: int = 2) -> Supernet:
    layers = [size] * (1 if KINDS[kind].first_layer_only else 2)
    architecture = Architecture.of(backbone.depth, {kind: layers + [0] * (backbone.depth - len(layers))})
    return Supernet(backbone.model, architecture, 3, seed=0).eval()


@pytest.mark.parametrize("kind", sweep(sorted(ELASTIC), 4))
def test_at_those_values_the_function_is_the_pretrained_one_whatever_the_rest(kind: str, backbone: Backbone):
    network = network_of(backbone, kind)
    images = torch.randn(2, 3, 32, 32, generator=GENERATOR.manual_seed(0))
    before = network(images, Architecture.empty(backbone.depth))
    pulled = 0
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.startswith("layers."):
                value = pretrained_value(name)
                pulled += value is not None
                drawn = torch.randn(parameter.shape, generator=GENERATOR)
                parameter.copy_(drawn if value is None else torch.full_like(parameter, value))
    if "prompt" in kind:
        assert not pulled
    else:
        assert pulled
        assert (network(images) - before).abs().max() < 2e-4


def test_the_gradient_is_that_of_the_distance():
    up = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
    scale = torch.nn.Parameter(torch.tensor([1.5]))
    down = torch.nn.Parameter(torch.tensor([3.0]))
    unused = torch.nn.Parameter(torch.tensor([3.0]))
    for parameter in (up, scale, down):
        parameter.grad = torch.ones_like(parameter)
    names = (
        "layers.0.lora_rank.up",
        "layers.1.ssf.scale",
        "layers.0.lora_rank.down",
        "layers.2.lora_rank.up",
    )
    ModulePull(0.1, dict(zip(names, (up, scale, down, unused), strict=True))).add()
    assert torch.allclose(up.grad, torch.tensor([1.1, 0.8]))
    assert torch.allclose(scale.grad, torch.tensor([1.05]))
    assert down.grad is not None
    assert down.grad.item() == 1
    assert unused.grad is None
    assert pretrained_value("head.weight") is None


@pytest.mark.thorough
def test_a_strong_pull_keeps_modules_near_and_none_changes_nothing(backbone: Backbone):
    images = torch.randint(0, 256, (16, 3, 32, 32), generator=GENERATOR.manual_seed(1), dtype=torch.uint8)
    labels = torch.arange(16) % 3
    preprocessing = Preprocessing.of(backbone.model)

    def trained(l2_sp: float, *, packed: bool = False) -> Supernet:
        network = network_of(backbone, "lora_rank")
        recipe = Recipe(3, 3e-3, batch_size=8, l2_sp=l2_sp)
        if packed:
            networks, recipes = (
                [network, network_of(backbone, "lora_rank")],
                [recipe, Recipe(3, 3e-3, batch_size=8)],
            )
            train_pack(
                networks,
                images,
                labels,
                preprocessing=preprocessing,
                recipes=recipes,
                seeds=[0, 0],
                state_files=[None, None],
            )
        else:
            chooser = Constant(network.capacity)
            train(
                network, images, labels, preprocessing=preprocessing, chooser=chooser, recipe=recipe, seed=0
            )
        return network

    def length(network: Supernet) -> float:
        return sum(
            float(p.detach().square().sum()) for n, p in network.named_parameters() if n.endswith(".up")
        )

    free, held = trained(0.0), trained(100.0)
    assert 0 < length(held) < 0.2 * length(free)
    for one, other in zip(held.parameters(), trained(100.0, packed=True).parameters(), strict=True):
        assert torch.allclose(one, other, atol=1e-5)


def test_a_negative_strength_is_refused():
    with pytest.raises(InputError, match="l2_sp is -1; give 0 for none, or more"):
        Recipe(1, 1e-3, l2_sp=-1)
