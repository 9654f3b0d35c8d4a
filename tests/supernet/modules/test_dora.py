"""DoRA gives each row of the changed weight its own norm."""

import pytest
import torch

from supernet.modules import ELASTIC

KINDS = sorted(kind for kind in ELASTIC if kind.startswith("dora"))
every_kind = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture
def operation(ends, draw):
    """Weight, bias and input of the projection that a kind changes, and a module bound to it."""

    def make(kind, shape, build):
        module = build(kind, shape)
        inputs, outputs = ends[module.places[0]]
        weight, bias = draw(outputs, inputs, seed=3), draw(outputs, seed=4)
        module.bind(lambda: (weight, bias))
        return module, weight, bias, draw(3, 5, inputs)

    return make


@every_kind
@torch.no_grad()
def test_it_is_its_equation_at_every_size(kind, shape, build, operation):
    module, weight, bias, x = operation(kind, shape, build)
    y, place = x @ weight.T + bias, module.places[0]
    for size in range(1, 6):
        changed = weight + module.up[:size].T @ module.down[:size]
        direction = changed / changed.norm(dim=1, keepdim=True)
        expected = x @ (module.magnitude * weight.norm(dim=1) * direction.T) + bias
        for sizes in (size, torch.full((3,), size)):
            found = module(place, x, y.clone(), sizes)
            torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


@every_kind
def test_gradients_take_the_norms_for_constants(kind, shape, build, operation):
    module, weight, bias, x = operation(kind, shape, build)
    module(module.places[0], x, x @ weight.T + bias, 5).sum().backward()
    with torch.no_grad():
        norms = (weight + module.up.T @ module.down).norm(dim=1)
        scale = module.magnitude * weight.norm(dim=1) / norms
        expected = (x @ module.down.T).sum((0, 1))[:, None] * scale
    torch.testing.assert_close(module.up.grad, expected, atol=1e-3, rtol=1e-3)


@every_kind
def test_it_starts_with_the_norms_of_the_frozen_weight(kind, shape, build):
    module = build(kind, shape)
    module.reset(torch.Generator().manual_seed(0))
    assert torch.equal(module.magnitude, torch.ones(len(module.magnitude)))
    assert not module.up.any()


@every_kind
def test_without_the_frozen_weights_it_says_so(kind, shape, ends, draw):
    module = ELASTIC[kind](shape, 2)
    inputs, outputs = ends[module.places[0]]
    with pytest.raises(ValueError, match=f"{kind} needs the frozen weights; bind them first"):
        module(module.places[0], draw(1, 2, inputs), draw(1, 2, outputs), 2)
