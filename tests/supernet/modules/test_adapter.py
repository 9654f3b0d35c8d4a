"""The adapter is its equation."""

import pytest
import torch

from supernet.modules import Adapter


@pytest.fixture
def adapter():
    module = Adapter(8, 5)
    generator = torch.Generator().manual_seed(0)
    for p in module.parameters():
        p.data = torch.randn(p.shape, generator=generator)
    return module


@torch.no_grad()
def test_it_is_its_equation_at_every_size(adapter):
    y = torch.randn(3, 4, 8, generator=torch.Generator().manual_seed(1))
    for a in range(1, 6):
        z = y @ adapter.down[:a].T + adapter.down_bias[:a]
        expected = z / (1 + torch.exp(-1.702 * z)) @ adapter.up[:a] + adapter.up_bias
        torch.testing.assert_close(adapter(y, a), expected, atol=1e-5, rtol=0)
        torch.testing.assert_close(adapter(y, torch.full((3,), a)), expected, atol=1e-5, rtol=0)


@torch.no_grad()
def test_an_absent_adapter_has_no_bias(adapter):
    y = torch.randn(3, 4, 8)
    out = adapter(y, torch.tensor([0, 1, 0]))
    assert not out[0].any()
    assert out[1].any()
    assert not out[2].any()


@torch.no_grad()
def test_it_starts_as_zero_with_gradients(adapter):
    adapter.reset(torch.Generator().manual_seed(0))
    assert not adapter(torch.randn(3, 4, 8), 5).any()
    assert adapter.down.count_nonzero() == adapter.down.numel()
