"""Adapters are their equation."""

import pytest
import torch

KINDS = ["adapter_dim", "adapter_dim_scaled", "adapter_dim_parallel", "adapter_dim_parallel_scaled"]


def equation(module, z, size):
    """``s (QuickGELU(z W1^T + b1) W2 + b2)``, without the scale."""
    hidden = z @ module.down[:size].T + module.down_bias[:size]
    return hidden / (1 + torch.exp(-1.702 * hidden)) @ module.up[:size] + module.up_bias


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_it_is_its_equation_at_every_size(kind, shape, build, draw):
    module = build(kind, shape)
    x, y = draw(3, 4, 8), draw(3, 4, 8, seed=2)
    for size in range(1, 6):
        delta = equation(module, x if "parallel" in kind else y, size)
        expected = y + (module.scale * delta if kind.endswith("scaled") else delta)
        torch.testing.assert_close(module("mlp", x, y.clone(), size), expected, atol=1e-5, rtol=1e-5)
        masked = module("mlp", x, y.clone(), torch.full((3,), size))
        torch.testing.assert_close(masked, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_the_scale_starts_at_one_and_is_there_only_where_it_is_learned(kind, shape, build):
    module = build(kind, shape)
    module.reset(torch.Generator().manual_seed(0))
    if kind.endswith("scaled"):
        assert module.scale.tolist() == [1.0]
    else:
        assert not hasattr(module, "scale")


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_an_absent_adapter_has_no_bias(kind, shape, build, draw):
    module, y = build(kind, shape), draw(3, 4, 8)
    out = module("mlp", draw(3, 4, 8, seed=2), y.clone(), torch.tensor([0, 1, 0]))
    assert torch.equal(out[[0, 2]], y[[0, 2]])
    assert not torch.equal(out[1], y[1])


@pytest.mark.parametrize("kind", KINDS)
def test_its_down_projection_starts_within_the_bound_of_the_width(kind, shape, build):
    module = build(kind, shape)
    module.reset(torch.Generator().manual_seed(0))
    assert module.down.abs().max() <= (3 / 8) ** 0.5
    assert module.down.count_nonzero() == module.down.numel()
    assert not any(getattr(module, name).any() for name in ("up", "up_bias", "down_bias"))
