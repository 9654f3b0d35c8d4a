"""Vectors of low rank for each position, which start at zero."""

from collections.abc import Callable

import torch
from torch import Tensor

from search_spaces import BackboneShape
from supernet.modules import ElasticModule, LoRAPositions

Build = Callable[[str, BackboneShape], ElasticModule]


def test_each_position_gets_its_combination_of_the_first_vectors(shape: BackboneShape, build: Build):
    module = build("lora_rank_pos", shape)
    added = module.added(module.down, 2)
    assert added.shape == (shape.tokens, shape.width)
    for n in range(shape.tokens):
        expected = module.down[0, n] * module.up[0] + module.down[1, n] * module.up[1]
        torch.testing.assert_close(added[n], expected)


def test_each_image_gets_what_its_size_gives_alone(shape: BackboneShape, build: Build):
    module = build("lora_rank_pos", shape)
    added = module.added(module.down, torch.tensor([0, 1, 5]))
    assert not added[0].any()
    torch.testing.assert_close(added[1], module.added(module.down, 1))
    torch.testing.assert_close(added[2], module.added(module.down, 5))


def test_gradients_are_those_of_the_images_own_sizes(shape: BackboneShape, build: Build):
    def gradients(*sizes: int | Tensor) -> list[Tensor]:
        module = build("lora_rank_pos", shape)
        for size in sizes:
            module.added(module.down, size).square().sum().backward()
        return [parameter.grad for parameter in module.parameters()]

    for one, other in zip(gradients(torch.tensor([1, 0, 4])), gradients(1, 4), strict=True):
        torch.testing.assert_close(one, other)


def test_it_starts_without_effect_and_with_the_activations_of_a_projection():
    """A of a projection makes activations of variance 1/3 out of normalised tokens."""
    module = LoRAPositions(BackboneShape.vit(64), 32)
    module.reset(torch.Generator().manual_seed(0))
    assert not module.added(module.down, 32).any()
    torch.testing.assert_close(module.down.var(), torch.tensor(1 / 3), atol=0.02, rtol=0)
