"""Adapters are their equation."""

import pytest
import torch

from search_spaces import BackboneShape
from supernet.modules import ELASTIC

KINDS = sorted(kind for kind in ELASTIC if kind.startswith("adapter_dim"))
PLACES = {
    "adapter_dim_attention": "attention",
    "adapter_dim_pre_attention": "input",
    "adapter_dim_pre_mlp": "middle",
    "adapter_dim_plus": "output",
}


def equation(module, z, size):
    """``s (QuickGELU(z W1^T + b1) W2 + b2)`` without the scale; Adapter+ has GELU."""
    hidden = z @ module.down[:size].T + module.down_bias[:size]
    if module.kind == "adapter_dim_plus":
        hidden = hidden * (1 + torch.erf(hidden / 2**0.5)) / 2
    else:
        hidden = hidden / (1 + torch.exp(-1.702 * hidden))
    return hidden @ module.up[:size] + module.up_bias


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_it_is_its_equation_at_every_size(kind, shape, build, draw):
    module = build(kind, shape)
    x, y = draw(3, 4, 8), draw(3, 4, 8, seed=2)
    for size in range(1, 6):
        delta = equation(module, x if "parallel" in kind else y, size)
        expected = y + (module.scale * delta if hasattr(module, "scale") else delta)
        place = PLACES.get(kind, "mlp")
        assert module.places == (place,)
        torch.testing.assert_close(module(place, x, y.clone(), size), expected, atol=1e-5, rtol=1e-5)
        masked = module(place, x, y.clone(), torch.full((3,), size))
        torch.testing.assert_close(masked, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_the_scale_starts_at_one_and_is_there_only_where_it_is_learned(kind, shape, build):
    module = build(kind, shape)
    module.reset(torch.Generator().manual_seed(0))
    if kind.endswith("scaled"):
        assert module.scale.tolist() == [1.0]
    elif kind == "adapter_dim_plus":
        assert module.scale.tolist() == [1.0] * 8
    else:
        assert not hasattr(module, "scale")


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_an_absent_adapter_has_no_bias(kind, shape, build, draw):
    module, y = build(kind, shape), draw(3, 4, 8)
    out = module("mlp", draw(3, 4, 8, seed=2), y.clone(), torch.tensor([0, 1, 0]))
    assert torch.equal(out[[0, 2]], y[[0, 2]])
    assert not torch.equal(out[1], y[1])


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "adapter_dim_plus"])
def test_its_down_projection_starts_within_the_bound_of_the_width(kind, shape, build):
    module = build(kind, shape)
    module.reset(torch.Generator().manual_seed(0))
    assert module.down.abs().max() <= (3 / 8) ** 0.5
    assert module.down.count_nonzero() == module.down.numel()
    assert not any(getattr(module, name).any() for name in ("up", "up_bias", "down_bias"))


def test_both_projections_of_adapter_plus_start_near_zero():
    module = ELASTIC["adapter_dim_plus"](BackboneShape.vit(64), 64)
    module.reset(torch.Generator().manual_seed(0))
    for weight in (module.down, module.up):
        assert 0.008 < weight.std() < 0.01  # a normal distribution without its tails
        assert weight.abs().max() <= 0.02
    assert not any(getattr(module, name).any() for name in ("up_bias", "down_bias"))
