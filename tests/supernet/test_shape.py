"""The shape that counting reads, of every family."""

import pytest
import torch
import torch.nn.functional as F
from timm.layers import PatchEmbed
from timm.models.vision_transformer import VisionTransformer

from search_spaces import Architecture, InputError
from supernet import Supernet
from supernet.shape import shape_of
from supernet.trunk import Trunk


def test_the_shape_is_that_of_the_tensors(vit):
    height, width = vit.patch_embed.img_size
    shape, layer = shape_of(Trunk(vit)), vit.blocks[0]
    with torch.no_grad():
        x = vit.forward_features(torch.zeros(1, 3, height, width))
        hidden = layer.mlp.fc2.weight.shape[1]
    assert (shape.depth, shape.width, shape.attention_width) == (len(vit.blocks), 32, 32)
    assert (shape.tokens, shape.hidden_width) == (x.shape[1], hidden)
    gated = type(layer.mlp).__name__ in ("GluMlp", "SwiGLU")
    assert shape.fc1_width == (2 * hidden if gated else hidden)


@pytest.mark.parametrize("trained", [False, True])
def test_what_is_trained_does_not_matter_and_stays_so(vit, trained):
    """Attention pooling reads a view of a parameter, which the counter would take for a backward pass."""
    before = [p.requires_grad for p in vit.parameters()]
    expected = shape_of(Trunk(vit))
    vit.requires_grad_(trained)
    try:
        assert shape_of(Trunk(vit)) == expected
        assert {p.requires_grad for p in vit.parameters()} == {trained}
    finally:
        for p, was in zip(vit.parameters(), before, strict=True):
            p.requires_grad_(was)


class TwoScales(PatchEmbed):
    """Patches of two sizes, as in pyramids of tokens."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.num_patches += self.num_patches // 4

    def forward(self, images):
        x = super().forward(images)
        coarse = x.transpose(1, 2).unflatten(2, self.grid_size)
        return torch.cat([x, F.avg_pool2d(coarse, 2).flatten(2).transpose(1, 2)], dim=1)


def test_the_grid_is_that_of_the_patches(vit):
    height, width = vit.patch_embed.img_size
    rows, columns = vit.patch_embed.grid_size
    shape = shape_of(Trunk(vit))
    assert shape.grid == (rows, columns)
    assert rows * width == columns * height
    assert shape.tokens - shape.patches == vit.num_prefix_tokens


def test_a_convolution_on_a_backbone_without_a_single_grid_is_refused():
    vit = VisionTransformer(32, 8, embed_dim=32, depth=1, num_heads=4, num_classes=0, embed_layer=TwoScales)
    assert shape_of(Trunk(vit)).grid is None
    Supernet(vit, Architecture.uniform(1, "adapter_dim_attention", 2), 3)(torch.zeros(1, 3, 32, 32))
    message = (
        "convpass_dim_attention needs a single grid of patches, which this backbone lacks; leave convpass_"
    )
    with pytest.raises(InputError, match=message):
        Supernet(vit, Architecture.uniform(1, "convpass_dim_attention", 2), 3)
