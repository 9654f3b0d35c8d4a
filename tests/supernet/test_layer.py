"""The laws of the forward pass, on a shrunken model of each supported family.

The reference is independent of the code under test: timm's own blocks, with the prompt tokens concatenated
before each block and dropped after it, LoRA folded into the qkv weights, and the adapter behind the MLP.
"""

import copy

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from search_spaces import Architecture
from supernet import ArchitectureBatch, Supernet

SEEDS = st.integers(0, 2**32 - 1)
REPEATABLE = settings(deadline=None, max_examples=4, derandomize=True, database=None)


class AdapterAfter(nn.Module):
    """What follows the MLP in a block, and then an adapter."""

    def __init__(self, inner, down, down_bias, up, up_bias):
        super().__init__()
        self.inner = inner
        self.weights = (down, down_bias, up, up_bias)

    def forward(self, y):
        y = self.inner(y)
        down, down_bias, up, up_bias = self.weights
        z = y @ down.T + down_bias
        return y + (z / (1 + torch.exp(-1.702 * z))) @ up + up_bias


def reference(net, x, a):
    """Logits of ``net`` for one architecture, by concatenation and folding."""
    vit = copy.deepcopy(net.backbone)
    tensors = net.module_tensors(a)
    tokens = vit.norm_pre(vit.patch_drop(vit._pos_embed(vit.patch_embed(x))))
    for i, block in enumerate(vit.blocks):
        if a["lora_rank"][i]:
            delta = tensors[f"layers.{i}.lora_rank.up"].T @ tensors[f"layers.{i}.lora_rank.down"]
            block.attn.qkv.weight.data += delta
        if a["adapter_dim"][i]:
            parts = [tensors[f"layers.{i}.adapter_dim.{n}"] for n in ("down", "down_bias", "up", "up_bias")]
            block.ls2 = AdapterAfter(block.ls2, *parts)
        n = tokens.shape[1]
        if a["prompt_tokens"][i]:
            prompts = tensors[f"layers.{i}.prompt_tokens.tokens"]
            tokens = torch.cat([tokens, prompts.expand(len(x), -1, -1)], dim=1)
        tokens = block(tokens)[:, :n]
    return net.head(vit.forward_head(vit.norm(tokens), pre_logits=True))


def close(a, b):
    torch.testing.assert_close(a, b, atol=1e-5, rtol=0)


@torch.no_grad()
def test_the_empty_architecture_is_timms_own_forward(vit, default_space, randomised, pixels):
    net = randomised(vit, default_space.largest())
    net.head.load_state_dict(vit.head.state_dict())
    own = copy.deepcopy(vit)
    if hasattr(own, "head_dist"):  # two heads, averaged: ours reads the average of their inputs
        own.head_dist.load_state_dict(vit.head.state_dict())
    expected = own(pixels)
    assert expected.std() > 0.1
    empty = Architecture.empty(4)
    close(net(pixels, empty), expected)
    close(net(pixels, [empty] * len(pixels)), expected)


@torch.no_grad()
@REPEATABLE
@given(seed=SEEDS)
def test_step_0_without_prompts_is_the_pretrained_function(vit, space, pixels, seed):
    drawn = space.sample(np.random.default_rng(seed))
    a = Architecture.of(4, {kind: drawn[kind] for kind in drawn.kinds if kind != "prompt_tokens"})
    fresh = Supernet(vit, space.largest(), 5, seed=seed % 100).eval()
    expected = vit.forward_head(vit.forward_features(pixels), pre_logits=True)
    close(fresh.features(pixels, a), expected)
    close(fresh.features(pixels, [a] * len(pixels)), expected)


@torch.no_grad()
@REPEATABLE
@given(seed=SEEDS)
def test_prompts_as_keys_and_values_are_concatenated_tokens(net, space, pixels, seed):
    a = space.sample(np.random.default_rng(seed))
    close(net(pixels, a), reference(net, pixels, a))


@torch.no_grad()
@REPEATABLE
@given(seed=SEEDS)
def test_one_architecture_per_image_is_each_image_alone(net, space, pixels, seed):
    rng = np.random.default_rng(seed)
    many = [space.sample(rng) for _ in pixels]
    alone = torch.cat([net(x[None], a) for x, a in zip(pixels, many, strict=True)])
    close(net(pixels, many), alone)
    close(net(pixels, ArchitectureBatch.of(many, net.capacity.kinds)), alone)


@torch.no_grad()
@REPEATABLE
@given(seed=SEEDS)
def test_slicing_is_masking(net, space, pixels, seed):
    a = space.sample(np.random.default_rng(seed))
    close(net(pixels, a), net(pixels, [a] * len(pixels)))


@torch.no_grad()
def test_every_module_of_every_layer_has_an_effect(vit, default_space, randomised, pixels):
    """Without this the equalities could hold because a module is ignored on both sides."""
    net = randomised(vit, default_space.largest())
    plain = net(pixels, Architecture.empty(4))
    for kind, size in (("prompt_tokens", 1), ("lora_rank", 1), ("adapter_dim", 1)):
        for i in range(4):
            one = Architecture.of(4, {kind: [size * (j == i) for j in range(4)]})
            assert (net(pixels, one) - plain).abs().max() > 1e-3, (kind, i)
