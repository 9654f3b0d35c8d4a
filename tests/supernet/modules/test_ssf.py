"""Scale and shift are their equation, on the first operations of a fixed order."""

import pytest
import torch

from supernet.modules import SSF

PLACES = ["norm1", "norm2", "proj", "fc2", "qkv", "fc1"]


@pytest.fixture
def module(shape):
    module = SSF(shape, 6)
    generator = torch.Generator().manual_seed(0)
    for parameter in module.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator)
    return module


def vectors(module, ends, place):
    """Scale and shift of one place: those of all places stand one after another."""
    start = sum(ends[before][1] for before in PLACES[: PLACES.index(place)])
    part = slice(start, start + ends[place][1])
    return module.scale[part], module.shift[part]


@pytest.mark.parametrize("place", PLACES)
@torch.no_grad()
def test_it_is_its_equation_from_the_size_on_that_counts_the_place(module, ends, draw, place):
    x, y = draw(3, 4, ends[place][0]), draw(3, 4, ends[place][1], seed=2)
    scale, shift = vectors(module, ends, place)
    for size in range(1, 7):
        expected = scale * y + shift if size > PLACES.index(place) else y
        torch.testing.assert_close(module(place, x, y, size), expected, atol=1e-6, rtol=1e-6)
        masked = module(place, x, y, torch.full((3,), size))
        torch.testing.assert_close(masked, expected, atol=1e-6, rtol=1e-6)


def test_its_tensors_end_with_the_last_operation_of_the_size(module, ends):
    for size in range(1, 7):
        length = sum(ends[place][1] for place in PLACES[:size])
        assert {n: tuple(t.shape) for n, t in module.tensors_at(size).items()} == {
            "scale": (length,),
            "shift": (length,),
        }


@pytest.mark.parametrize("place", PLACES)
@torch.no_grad()
def test_a_small_module_merges_into_its_operations_and_leaves_the_others(shape, ends, draw, place):
    module = SSF(shape, 3)
    module.scale.copy_(draw(len(module.scale)))
    module.shift.copy_(draw(len(module.shift), seed=2))
    inputs, outputs = ends[place]
    weight = draw(outputs) if place.startswith("norm") else draw(outputs, inputs)
    bias = draw(outputs, seed=3)
    new_weight, new_bias = module.merge(place, weight, bias)
    if PLACES.index(place) >= 3:
        assert torch.equal(new_weight, weight)
        assert torch.equal(new_bias, bias)
        return
    scale, shift = vectors(module, ends, place)
    torch.testing.assert_close(new_weight, scale * weight if weight.ndim == 1 else scale[:, None] * weight)
    torch.testing.assert_close(new_bias, scale * bias + shift)


def test_it_starts_at_one_and_zero(module):
    module.reset(torch.Generator().manual_seed(0))
    assert torch.equal(module.scale, torch.ones_like(module.scale))
    assert not module.shift.any()
