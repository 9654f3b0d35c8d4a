"""Modules of every kind and shape whose parameters all have an effect, and what they are given."""

from collections.abc import Callable

import pytest
import torch
from sweep import sweep
from torch import Tensor

from search_spaces import KINDS, BackboneShape
from supernet.modules import ELASTIC, ElasticModule, Place

SHAPES = {
    "plain": BackboneShape.vit(8, 3, 5, 4),
    "gated MLP": BackboneShape(
        3, width=8, attention_width=8, fc1_width=44, hidden_width=22, tokens=5, grid=(2, 2)
    ),
    "narrow attention": BackboneShape(
        3, width=8, attention_width=4, fc1_width=32, hidden_width=32, tokens=5, grid=(2, 2)
    ),
}
Tensors = Callable[..., Tensor]


@pytest.fixture(params=sweep(SHAPES.values()), ids=SHAPES)
def shape(request) -> BackboneShape:
    """A plain ViT, a gated MLP, and attention that is narrower than the embedding."""
    return request.param


@pytest.fixture
def build(ends) -> Callable[..., ElasticModule]:
    """Makes a module of a kind, of a size or as large as it can be or 5, with random parameters."""

    def make(kind: str, shape: BackboneShape, size: int | None = None) -> ElasticModule:
        module = ELASTIC[kind](shape, size or KINDS[kind].max_size or 5)
        generator = torch.Generator().manual_seed(0)
        for parameter in module.parameters():
            parameter.data = torch.randn(parameter.shape, generator=generator)
        if module.reads_weights:
            module.bind(lambda: frozen(*ends[module.places[0]]))
        return module

    return make


def frozen(inputs: int, outputs: int) -> tuple[Tensor, Tensor]:
    """Weight and bias of a projection, always the same."""
    generator = torch.Generator().manual_seed(7)
    return torch.randn(outputs, inputs, generator=generator), torch.randn(outputs, generator=generator)


@pytest.fixture
def draw() -> Tensors:
    """Random tensors of the given sizes, others for another seed."""

    def make(*sizes: int, seed: int = 1) -> Tensor:
        return torch.randn(*sizes, generator=torch.Generator().manual_seed(seed))

    return make


@pytest.fixture
def ends(shape: BackboneShape) -> dict[Place, tuple[int, int]]:
    """Inputs and outputs of the operation at each place."""
    d, e = shape.width, shape.attention_width
    return {
        "input": (d, d),
        "norm1": (d, d),
        "qkv_input": (d, d),
        "qkv": (d, 3 * e),
        "proj": (e, d),
        "attention": (d, d),
        "middle": (d, d),
        "norm2": (d, d),
        "fc1_input": (d, d),
        "fc1": (d, shape.fc1_width),
        "fc2": (shape.hidden_width, d),
        "mlp": (d, d),
        "output": (d, d),
    }
