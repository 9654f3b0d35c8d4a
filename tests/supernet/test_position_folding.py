"""LoRA on positions in the position embedding of every family that has one."""

import copy

import torch

from search_spaces import Architecture
from supernet.backbones import weights_digest
from supernet.merging import merged
from supernet.plain_state import plain_state, with_head
from supernet.position_folding import fold_positions
from supernet.trunk import Trunk

POSITIONS = Architecture.of(2, {"lora_rank_pos": (3, 0), "lora_rank": (1, 0)})


@torch.no_grad()
def test_what_is_folded_computes_the_same_and_the_rest_is_left_alone(vit, images, position_table):
    """At another size than the model's own, too, where it takes any."""
    model = copy.deepcopy(vit)
    trunk = Trunk(model)
    tokens = Trunk(vit).embed(images)[0]
    own_size = model.patch_embed.img_size == tuple(images.shape[-2:])
    count = tokens.shape[1] if own_size else model.num_prefix_tokens + model.patch_embed.num_patches
    added = torch.randn(count, tokens.shape[2], generator=torch.Generator().manual_seed(1))
    before = weights_digest(model)
    folded = fold_positions(trunk, added)
    assert folded == position_table
    if not folded:
        assert weights_digest(model) == before
        return
    expected = tokens + Trunk(vit).resampled(added.T, images).T
    torch.testing.assert_close(trunk.embed(images)[0], expected, atol=1e-4, rtol=0)


@torch.no_grad()
def test_a_subnet_with_lora_on_positions_is_a_plain_timm_model(plain, randomised, pixels):
    vit = plain()
    subnet = randomised(vit, POSITIONS)
    result = merged(subnet)
    assert result.capacity.kinds == ()
    fresh = with_head(copy.deepcopy(vit), torch.nn.Linear(vit.embed_dim, subnet.num_classes))
    fresh.load_state_dict(plain_state(result, vit))
    torch.testing.assert_close(fresh(pixels), subnet(pixels), atol=1e-5, rtol=0)
    assert (fresh(pixels) - subnet(pixels, Architecture.of(2, {"lora_rank": (1, 0)}))).abs().max() > 0.1
