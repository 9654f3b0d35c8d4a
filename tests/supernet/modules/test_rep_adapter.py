"""RepAdapter is a linear map of two groups of units, which write to one half of the channels each."""

import pytest
import torch

every_kind = pytest.mark.parametrize("kind", ["rep_dim_attention", "rep_dim_mlp"])


@every_kind
@torch.no_grad()
def test_it_is_its_equation_at_every_size(kind, shape, build, draw):
    module = build(kind, shape)
    (place,), y = module.places, draw(3, 4, 8)
    for size in range(1, 6):
        up = torch.zeros(size, 8)
        for unit in range(size):
            half = slice(4, 8) if unit % 2 else slice(0, 4)
            up[unit, half] = module.up[unit]
        expected = y + (y @ module.down[:size].T + module.down_bias[:size]) @ up + module.up_bias
        for sizes in (size, torch.full((3,), size)):
            found = module(place, y, y.clone(), sizes)
            torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


@every_kind
def test_it_starts_like_an_adapter(kind, shape, build):
    module = build(kind, shape)
    module.reset(torch.Generator().manual_seed(0))
    assert module.down.abs().max() <= (3 / 8) ** 0.5
    assert module.down.count_nonzero() == module.down.numel()
    assert not any(getattr(module, name).any() for name in ("up", "up_bias", "down_bias"))
