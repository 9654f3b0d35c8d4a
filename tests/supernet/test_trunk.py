"""Embedding, the places of shallow prompts, and pooling, for every family."""

import pytest
import timm
import torch

from supernet.trunk import Trunk

PROMPTS = torch.arange(3.0)[:, None].expand(3, 32)


@torch.no_grad()
def test_embedding_and_pooling_around_timms_blocks_are_timms_forward(vit, images):
    """Without blocks nothing else is left of a model."""
    trunk = Trunk(vit)
    blocks, vit.blocks = vit.blocks, torch.nn.Sequential()
    try:
        expected = vit.forward_head(vit.forward_features(images), pre_logits=True)
        torch.testing.assert_close(trunk.pool(trunk.embed(images)[0]), expected, atol=1e-6, rtol=0)
    finally:
        vit.blocks = blocks


@torch.no_grad()
def test_prompts_stand_behind_the_class_tokens_and_come_out_again(vit, images):
    trunk = Trunk(vit)
    x, at = trunk.embed(images)
    first, tokens = vit.num_prefix_tokens, x.shape[1]
    sizes = torch.tensor([3, 0, 1])
    with_prompts, everywhere = trunk.with_prompts(x, at, PROMPTS, None)
    _, masked = trunk.with_prompts(x, at, PROMPTS, sizes)
    assert torch.equal(with_prompts[:, first : first + 3], PROMPTS.expand(3, 3, 32))
    assert torch.equal(trunk.without_prompts(with_prompts, 3), x)
    assert len(at) == len(everywhere) == len(masked) == len(vit.blocks)
    for old, new, mask in zip(at, everywhere, masked, strict=True):
        assert new.keys is None
        assert mask.keys.sum(dim=1).tolist() == [tokens + 3, tokens, tokens + 1]
        assert mask.keys[1].tolist() == [not first <= i < first + 3 for i in range(tokens + 3)]
        assert new.rope is old.rope
        if old.bias is not None:
            kept = [i for i in range(tokens + 3) if not first <= i < first + 3]
            assert torch.equal(new.bias[..., kept, :][..., kept], old.bias)
            assert new.bias.count_nonzero() == old.bias.count_nonzero()


def test_a_model_of_another_class_is_refused():
    with pytest.raises(TypeError, match=r"^is a ResNet$"):
        Trunk(timm.create_model("resnet18"))
