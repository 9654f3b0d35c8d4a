"""The shape that counting reads, of every family."""

import pytest
import torch

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
