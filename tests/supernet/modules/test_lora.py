"""LoRA is its equation."""

import pytest
import torch

from supernet.modules import LoRA


@pytest.fixture
def lora():
    module = LoRA(8, 5)
    generator = torch.Generator().manual_seed(0)
    for p in module.parameters():
        p.data = torch.randn(p.shape, generator=generator)
    return module


@torch.no_grad()
def test_it_is_its_equation_at_every_rank(lora):
    h = torch.randn(3, 4, 8, generator=torch.Generator().manual_seed(1))
    for rank in range(1, 6):
        expected = torch.einsum("bnd,rd,re->bne", h, lora.down[:rank], lora.up[:rank])
        torch.testing.assert_close(lora(h, rank), expected, atol=1e-5, rtol=0)
        masked = lora(h, torch.full((3,), rank))
        torch.testing.assert_close(masked, expected, atol=1e-5, rtol=0)


@torch.no_grad()
def test_tokens_without_a_batch_get_one_of_each_image(lora):
    p = torch.randn(4, 8, generator=torch.Generator().manual_seed(1))
    out = lora(p, torch.tensor([0, 2, 5]))
    assert out.shape == (3, 4, 24)
    assert not out[0].any()
    torch.testing.assert_close(out[1], lora(p, 2), atol=1e-5, rtol=0)
    torch.testing.assert_close(out[2], lora(p, 5), atol=1e-5, rtol=0)


@torch.no_grad()
def test_the_merged_delta_is_the_module(lora):
    h = torch.randn(4, 8, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(h @ lora.merged_delta().T, lora(h, 5), atol=1e-5, rtol=0)


@torch.no_grad()
def test_it_starts_as_zero_with_gradients(lora):
    lora.reset(torch.Generator().manual_seed(0))
    h = torch.randn(3, 4, 8)
    assert not lora(h, 5).any()
    assert lora.down.abs().max() <= 8**-0.5
    assert lora.down.count_nonzero() == lora.down.numel()
