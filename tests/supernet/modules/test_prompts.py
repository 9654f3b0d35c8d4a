"""Prompts are the first tokens of the longest list."""

import torch

from supernet.modules import Prompts


def test_one_size_slices_and_many_sizes_leave_masking_to_the_attention():
    prompts = Prompts(8, 5)
    prompts.reset(torch.Generator().manual_seed(0))
    assert torch.equal(prompts(2), prompts.tokens[:2])
    assert torch.equal(prompts(torch.tensor([2, 0, 5])), prompts.tokens)


def test_they_start_different_from_each_other_and_bounded():
    prompts = Prompts(64, 50)
    prompts.reset(torch.Generator().manual_seed(0))
    bound = (3 / 64) ** 0.5
    assert 0.95 * bound < prompts.tokens.abs().max() <= bound
    assert len(prompts.tokens.unique(dim=0)) == 50
