"""LoRA kinds together are one low-rank update of each linear layer."""

import copy

import pytest
import torch

from search_spaces import Architecture, InputError
from supernet.merging import biases_beside
from supernet.modules import ELASTIC
from supernet.projection_lora import linear_updates, other_kinds

LORA = [f"lora_rank{part}" for part in ("", "_q", "_k", "_v", "_proj", "_fc1", "_fc2")]
SIZES = {kind: (2, 1 + number % 2) for number, kind in enumerate(LORA)}


@torch.no_grad()
def test_updated_layers_are_the_subnet_on_every_family(vit, randomised, images):
    subnet = randomised(vit, Architecture.of(2, SIZES))
    if biases_beside(subnet.trunk.layers[0], "qkv"):
        with pytest.raises(InputError, match="without calling the layer qkv"):
            linear_updates(subnet)
        return
    updates = linear_updates(subnet)
    model = copy.deepcopy(vit)
    for name, update in updates.items():
        layer = model.get_submodule(name)
        assert update.up.shape == (layer.out_features, update.rank)
        layer.weight += update.up @ update.down
    features = model.forward_head(model.forward_features(images), pre_logits=True)
    torch.testing.assert_close(subnet.head(features), subnet(images), atol=1e-5, rtol=0)


def test_ranks_add_up_where_modules_share_a_layer(plain, randomised):
    subnet = randomised(plain(), Architecture.of(2, SIZES))
    updates = linear_updates(subnet)
    assert updates["blocks.0.attn.qkv"].rank == 2 + 2 + 2 + 2
    assert updates["blocks.1.attn.qkv"].rank == 1 + 2 + 1 + 2
    alone = linear_updates(randomised(plain(), Architecture.of(2, {"lora_rank": (0, 1)})))
    assert list(alone) == ["blocks.1.attn.qkv"]
    values = updates["blocks.0.attn.qkv"].up
    assert not values[:64, -2:].any()  # LoRA on the values acts on the last third alone


def test_other_kinds_are_named(plain, randomised):
    subnet = randomised(plain(), Architecture.of(2, {"lora_rank": (1,) * 2, "adapter_dim": (0, 1)}))
    assert other_kinds(subnet) == ["adapter_dim"]
    with pytest.raises(InputError, match=r"only LoRA on projections .* has Adapter"):
        linear_updates(subnet)


@pytest.mark.parametrize("kind", ["lora_rank_pos", "fact_rank"])
def test_what_acts_beyond_a_layer_is_another_kind(plain, randomised, kind):
    assert kind in ELASTIC
    assert other_kinds(randomised(plain(), Architecture.of(2, {kind: (1, 0)}))) == [kind]
