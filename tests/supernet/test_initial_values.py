"""Initial values are drawn where the generator is, and copied to the module's own device."""

import pytest
import torch
from torch import nn

from search_spaces import Architecture, BackboneShape
from supernet import Supernet
from supernet.initial_values import drawn_where_the_generator_is, parameters_on
from supernet.modules import ELASTIC

META = torch.device("meta")
ANOTHER = torch.device("cpu", 0)
"""The CPU under a name that does not compare equal to that of its tensors, so that stand-ins are made."""
SHAPE = BackboneShape.vit(32, 4)


class Module(nn.Module):
    """Holds parameters at two levels, one of them frozen, and buffers."""

    def __init__(self):
        super().__init__()
        self.outer = nn.Parameter(torch.zeros(3), requires_grad=False)
        self.inner = nn.Linear(2, 3)
        self.register_buffer("seen", torch.zeros(2))
        self.register_buffer("absent", None)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def tensors(module):
    return dict(module.named_parameters()) | dict(module.named_buffers())


@torch.no_grad()
def reset(module, generator):
    """Fails unless everything is where the generator is."""
    for value in tensors(module).values():
        assert value.device == generator.device
        value.copy_(torch.rand(value.shape, generator=generator))


def test_a_method_sees_the_generator_s_device_and_the_module_keeps_its_own_tensors():
    module = Module().to("meta")
    own = tensors(module)
    drawn_where_the_generator_is(reset)(module, generator())
    assert all(value is own[name] for name, value in tensors(module).items())
    assert {value.device for value in own.values()} == {META}
    assert not module.outer.requires_grad


def test_the_values_of_stand_ins_return_to_the_module():
    expected, module = Module(), Module()
    reset(expected, generator())
    own = tensors(module)
    with parameters_on(module, ANOTHER):
        assert not any(value is own[name] for name, value in tensors(module).items())
        assert [p.requires_grad for p in module.parameters()] == [False, True, True]
        reset(module, generator())
    assert all(value is own[name] for name, value in tensors(module).items())
    assert all(torch.equal(value, own[name]) for name, value in tensors(expected).items())


def test_a_module_has_its_own_tensors_again_after_an_error():
    module = Module()
    own = tensors(module)
    with pytest.raises(RuntimeError, match="no"), parameters_on(module, ANOTHER):
        raise RuntimeError("no")
    assert all(value is own[name] for name, value in tensors(module).items())


@pytest.mark.parametrize("kind", ELASTIC)
def test_every_kind_can_be_reset_on_another_device_and_draws_the_same(kind):
    in_place, copied = ELASTIC[kind](SHAPE, 3), ELASTIC[kind](SHAPE, 3)
    in_place.reset(generator(1))
    with parameters_on(copied, ANOTHER):
        copied.reset(generator(1))
    found = tensors(copied)
    assert all(torch.equal(value, found[name]) for name, value in tensors(in_place).items())
    elsewhere = ELASTIC[kind](SHAPE, 3).to("meta")
    elsewhere.reset(generator(1))
    assert {value.device for value in tensors(elsewhere).values()} == {META}


def test_a_network_on_another_device_can_be_reset(plain):
    network = Supernet(plain(), Architecture.uniform(2, "lora_rank", 2), 5)
    network.to("meta").reset(1)
    assert {p.device for p in network.parameters()} == {META}
