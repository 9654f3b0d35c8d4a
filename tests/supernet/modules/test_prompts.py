"""Prompts are the first tokens of the longest list."""

import pytest
import torch

from search_spaces import BackboneShape
from supernet.modules import Prompts, ShallowPrompts

both = pytest.mark.parametrize("kind", [Prompts, ShallowPrompts])


@both
def test_one_size_slices_and_many_sizes_leave_masking_to_the_attention(kind, shape):
    prompts = kind(shape, 5)
    prompts.reset(torch.Generator().manual_seed(0))
    assert torch.equal(prompts.prompts(2), prompts.tokens[:2])
    assert torch.equal(prompts.prompts(torch.tensor([2, 0, 5])), prompts.tokens)


@both
def test_they_start_different_from_each_other_and_bounded(kind):
    prompts = kind(BackboneShape.vit(64), 50)
    prompts.reset(torch.Generator().manual_seed(0))
    bound = (3 / 64) ** 0.5
    assert 0.95 * bound < prompts.tokens.abs().max() <= bound
    assert len(prompts.tokens.unique(dim=0)) == 50
