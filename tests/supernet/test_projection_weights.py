"""The weights of an operation are what the operation computes with, in every family."""

import copy

import torch

from supernet.projection_weights import FrozenProjection
from supernet.trunk import Trunk


@torch.no_grad()
def test_weight_and_bias_are_those_of_the_operation(vit):
    layer = Trunk(vit).layers[1]
    inputs = {
        "qkv": layer.width,
        "proj": layer.attention_width,
        "fc1": layer.width,
        "fc2": layer.hidden_width,
    }
    for place, width in inputs.items():
        x = torch.randn(2, 3, width, generator=torch.Generator().manual_seed(0))
        weight, bias = FrozenProjection(layer, place)()
        torch.testing.assert_close(x @ weight.T + bias, getattr(layer, place)(x), atol=1e-5, rtol=1e-5)


def test_a_copied_module_reads_the_same_weights(plain):
    frozen = FrozenProjection(Trunk(plain()).layers[0], "proj")
    assert copy.deepcopy({"frozen": frozen})["frozen"] is frozen
    assert frozen()[0].data_ptr() == frozen()[0].data_ptr()
