"""Merged modules are unmerged ones, and what has none left is a plain timm model."""

import copy

import numpy as np
import pytest
import timm
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from search_spaces import KINDS, Architecture, InputError, Kind
from supernet import Supernet
from supernet.backbones import weights_digest
from supernet.merging import merged
from supernet.modules import ELASTIC, ElasticModule

LORA = [f"lora_rank{part}" for part in ("", "_q", "_k", "_v", "_proj", "_fc1", "_fc2")]
REP = ("rep_dim_attention", "rep_dim_mlp")
DORA = [f"dora_rank{part}" for part in ("", "_proj", "_fc1", "_fc2")]
ONCE = {"fact_rank": (3, 0)}
ALL_LORA = Architecture.of(2, dict.fromkeys(LORA, (2, 3)) | ONCE)
MERGEABLE = Architecture.of(2, dict.fromkeys((*LORA, *DORA, *REP), (2, 3)) | {"ssf": (6, 1)} | ONCE)


def has_rms_norm(vit):
    return not hasattr(vit.blocks[0].norm1, "bias")


def close(a, b):
    torch.testing.assert_close(a, b, atol=1e-5, rtol=0)


@torch.no_grad()
@settings(deadline=None, max_examples=1, derandomize=True, database=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_a_merged_subnet_is_the_same_function(net, space, images, position_table, seed):
    """With prompts and adapters around it, in every space."""
    a = space.sample(np.random.default_rng(seed))
    if has_rms_norm(net.backbone):
        a = Architecture.of(2, {kind: a[kind] for kind in a.kinds if kind != "ssf"})
    subnet = net.extract(a)
    digest = weights_digest(net.backbone), weights_digest(subnet.layers), weights_digest(subnet.head)
    result = merged(subnet)
    kept = {"prompt_tokens", "shallow_prompt_tokens", "adapter_dim", "adapter_dim_parallel_scaled"}
    if not position_table:
        kept.add("lora_rank_pos")
    assert set(result.capacity.kinds) == set(a.kinds) & kept
    close(result(images), subnet(images))
    assert digest == (
        weights_digest(net.backbone),
        weights_digest(subnet.layers),
        weights_digest(subnet.head),
    )


@torch.no_grad()
def test_without_modules_left_it_is_timms_own_forward(vit, randomised, images):
    subnet = randomised(vit, ALL_LORA if has_rms_norm(vit) else MERGEABLE)
    result = merged(subnet)
    assert not result.capacity.kinds
    assert not list(result.layers.parameters())
    own = copy.deepcopy(result.backbone)
    own.head.load_state_dict(result.head.state_dict())
    if hasattr(own, "head_dist"):  # timm averages the logits of two heads, here equal ones
        own.head_dist.load_state_dict(result.head.state_dict())
    logits = own(images)
    close(logits, subnet(images))
    assert (logits - subnet(images, Architecture.empty(2))).abs().max() > 0.1
    assert not any(p.requires_grad for p in result.backbone.parameters())


@torch.no_grad()
def test_merged_lora_has_timms_own_parameters(vit, randomised, images):
    """So that its state dict loads into a fresh model of the same name."""
    subnet = randomised(vit, ALL_LORA)
    state = merged(subnet).backbone.state_dict()
    fresh = copy.deepcopy(vit)
    for value in fresh.state_dict().values():
        value.zero_()
    fresh.load_state_dict(state)
    features = fresh.forward_head(fresh.forward_features(images), pre_logits=True)
    close(subnet.head(features), subnet(images))


@torch.no_grad()
def test_a_shift_without_a_bias_to_go_to_is_refused(randomised):
    vit = timm.create_model(
        "aimv2_large_patch14_224", num_classes=0, img_size=28, embed_dim=32, depth=2, num_heads=4
    )
    subnet = randomised(vit, Architecture.of(2, {"ssf": (0, 1)}))
    message = r"ssf of layer 1 shifts the output of norm1, a RmsNorm, which has no bias .*; use the subnet un"
    with pytest.raises(InputError, match=message):
        merged(subnet)


@torch.no_grad()
def test_a_scale_alone_needs_no_bias(randomised):
    vit = timm.create_model(
        "aimv2_large_patch14_224", num_classes=0, img_size=28, embed_dim=32, depth=2, num_heads=4
    ).eval()
    subnet = randomised(vit, Architecture.uniform(2, "ssf", 2))
    for layer in subnet.layers:
        layer["ssf"].shift.zero_()
    x = torch.randn(2, 3, 28, 28, generator=torch.Generator().manual_seed(0))
    close(merged(subnet)(x), subnet(x))


def test_a_fresh_subnet_merges_to_the_weights_it_has(plain):
    vit = plain()
    result = merged(Supernet(vit, MERGEABLE, 5))
    assert weights_digest(result.backbone) == weights_digest(vit)


def test_what_applies_after_a_module_that_cannot_be_merged_is_refused(plain, monkeypatch):
    class Doubled(ElasticModule):
        places = ("qkv",)

        def reset(self, generator):
            torch.nn.init.zeros_(self.unit)

        def __init__(self, shape, capacity):
            super().__init__(shape, capacity)
            self.unit = torch.nn.Parameter(torch.empty(capacity))

    monkeypatch.setitem(KINDS, "doubled", Kind("doubled", "Doubled", lambda size, shape: size))
    monkeypatch.setitem(ELASTIC, "doubled", Doubled)
    Doubled.kind = "doubled"
    subnet = Supernet(plain(), Architecture.of(2, {"doubled": [0, 1], "lora_rank": [0, 2]}), 5)
    with pytest.raises(InputError, match="lora_rank cannot be merged: at qkv it applies after doubled"):
        merged(subnet)
    apart = Supernet(plain(), Architecture.of(2, {"doubled": [1, 0], "lora_rank": [0, 2]}), 5)
    assert merged(apart).capacity.kinds == ("doubled",)
    read = Supernet(plain(), Architecture.of(2, {"doubled": [2] * 2, "rep_dim_attention": [0, 2]}), 5)
    with pytest.raises(InputError, match="rep_dim_attention cannot be merged: it changes what doubled reads"):
        merged(read)
