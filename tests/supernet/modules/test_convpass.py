"""Convpass is a convolution over the patches, and nothing but a bottleneck for other tokens."""

import pytest
import torch
import torch.nn.functional as F

from search_spaces import BackboneShape
from supernet.modules import ELASTIC

KINDS = {"convpass_dim_attention": "attention", "convpass_dim_mlp": "mlp"}
every_kind = pytest.mark.parametrize("kind", KINDS)


def quick_gelu(z):
    return z / (1 + torch.exp(-1.702 * z))


def equation(module, x, size, grid):
    """With an image of zeros around each token that is no patch."""
    rows, columns = grid
    hidden = quick_gelu(x @ module.down[:size].T + module.down_bias[:size])
    weight, bias = module.conv[:size, :size], module.conv_bias[:size]
    first = x.shape[1] - rows * columns
    image = hidden[:, first:].reshape(len(x), rows, columns, size).permute(0, 3, 1, 2)
    patches = F.conv2d(image, weight, bias, padding=1).permute(0, 2, 3, 1).reshape(len(x), -1, size)
    alone = [F.conv2d(hidden[:, i, :, None, None], weight, bias, padding=1)[..., 0, 0] for i in range(first)]
    hidden = quick_gelu(torch.cat([*(token[:, None] for token in alone), patches], dim=1))
    return hidden @ module.up[:size] + module.up_bias


@every_kind
@pytest.mark.parametrize(("tokens", "grid"), [(5, (2, 2)), (4, (2, 2)), (9, (2, 3)), (6, (6, 1))])
@torch.no_grad()
def test_it_is_its_equation_at_every_size(kind, tokens, grid, shape, build, draw):
    """The patches are the last tokens, whatever is before them."""
    module, place = build(kind, shape), KINDS[kind]
    assert module.places == (place,)
    x, y = draw(3, tokens, 8), draw(3, tokens, 8, seed=2)
    for size in range(1, 6):
        expected = y + equation(module, x, size, grid)
        found = module(place, x, y.clone(), size, grid)
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-5)
        masked = module(place, x, y.clone(), torch.full((3,), size), grid)
        torch.testing.assert_close(masked, expected, atol=1e-4, rtol=1e-5)


@every_kind
def test_the_convolution_starts_as_the_identity(kind, shape, build, draw):
    module = build(kind, shape)
    module.reset(torch.Generator().manual_seed(0))
    image = draw(2, 5, 4, 3)
    assert torch.equal(F.conv2d(image, module.conv, module.conv_bias, padding=1), image)
    assert not any(getattr(module, name).any() for name in ("up", "up_bias", "down_bias"))


@every_kind
def test_without_a_grid_it_does_not_guess_one(kind, draw):
    module = ELASTIC[kind](BackboneShape.vit(8, tokens=6), 2)
    with pytest.raises(ValueError, match=f"{kind} needs a grid of patches, and the backbone has none"):
        module(KINDS[kind], draw(1, 6, 8), draw(1, 6, 8), 2)
