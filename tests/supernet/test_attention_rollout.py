"""Attention rollout: the product of attentions as written down by hand, without prompts and beside them."""

import pytest
import torch
from torch import nn

from search_spaces import Architecture
from supernet import Supernet
from supernet.attention_rollout import attention_rollout

CLASS = 1
PATCHES = 16


def by_hand(network: Supernet, pixels: torch.Tensor) -> torch.Tensor:
    """Rollout of a plain ViT whose prompts, if any, are tokens that stand behind the others in each layer.

    A prompt attends to nothing and keeps its content; what the class token has of it is left out in the end.
    """
    x = network.trunk.model._pos_embed(network.trunk.model.patch_embed(pixels))
    names = [str(i) for i in range(x.shape[1])]
    rollout = torch.eye(len(names)).expand(len(x), -1, -1)
    for layer, modules in zip(network.trunk.layers, network.layers, strict=True):
        block, tokens = layer.block, x.shape[1]
        prompts = modules["prompt_tokens"].tokens if "prompt_tokens" in modules else x.new_empty(0, 32)
        together = torch.cat([x, prompts.expand(len(x), -1, -1)], dim=1)
        q, k, _ = block.attn.qkv(block.norm1(together)).unflatten(-1, (3, 4, 8)).permute(2, 0, 3, 1, 4)
        attention = (q @ k.transpose(-2, -1) / 8**0.5).softmax(-1).mean(1)
        step = torch.eye(together.shape[1]).repeat(len(x), 1, 1)
        step[:, :tokens] = 0.5 * step[:, :tokens] + 0.5 * attention[:, :tokens]
        # new prompts in each layer: nothing of the earlier ones is in them
        rollout = torch.cat([rollout, torch.zeros(len(x), len(prompts), rollout.shape[2])], dim=1)
        rollout = (step @ rollout)[:, :tokens]
        x = block(together)[:, :tokens]
    shares = rollout[:, 0, CLASS:]
    return (shares / shares.sum(1, keepdim=True)).unflatten(1, (4, 4))


@pytest.mark.parametrize("prompts", [0, 3])
def test_it_is_the_product_written_by_hand(prompts, plain, randomised, pixels):
    network = randomised(plain(), Architecture.uniform(2, "prompt_tokens", prompts))
    found = attention_rollout(network, pixels)
    torch.testing.assert_close(found, by_hand(network, pixels))
    assert found.std() > 1e-3


def test_prompts_of_the_first_layer_are_no_place_in_the_image(plain, randomised, pixels):
    network = randomised(plain(), Architecture.of(2, {"shallow_prompt_tokens": (5, 0)}))
    found = attention_rollout(network, pixels)
    assert found.shape == (len(pixels), 4, 4)
    torch.testing.assert_close(found.sum((1, 2)), torch.ones(len(pixels)))
    with torch.no_grad():
        network.layers[0]["shallow_prompt_tokens"].tokens.mul_(30)
    assert (attention_rollout(network, pixels) - found).abs().max() > 1e-4  # and still they act


def test_without_attention_all_patches_are_alike(plain, randomised, pixels):
    model = plain()
    with torch.no_grad():
        for block in model.blocks:
            block.attn.qkv.weight.zero_()
            block.attn.qkv.bias.zero_()
    found = attention_rollout(randomised(model, Architecture.empty(2)), pixels)
    torch.testing.assert_close(found, torch.full_like(found, 1 / PATCHES))


def test_every_family_has_a_map_and_the_same_logits(vit: nn.Module, images: torch.Tensor):
    network = Supernet(vit, Architecture.uniform(2, "prompt_tokens", 2), 5).eval()
    before = network(images)
    found = attention_rollout(network, images)
    assert found.shape[0] == len(images)
    assert min(found.shape[1:]) > 1
    assert found.min() > 0
    torch.testing.assert_close(found.sum((1, 2)), torch.ones(len(images)))
    assert torch.equal(network(images), before)
