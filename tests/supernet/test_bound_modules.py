"""A bound module overwrites an output as the module's own forward changes it."""

import pytest
import torch
from conftest import randomise
from torch import nn

from search_spaces import KINDS, Architecture, Kind
from supernet import Supernet
from supernet.bound_modules import BoundNetwork
from supernet.modules import ELASTIC, ElasticModule, LoRA, register_elastic

DEPTH = 2


def width(shape, place):
    """Channels of an operation's input and output."""
    d, e, f, h = shape.width, shape.attention_width, shape.fc1_width, shape.hidden_width
    widths = {"qkv": (d, 3 * e), "proj": (e, d), "fc1": (d, f), "fc2": (h, d)}
    return widths.get(place, (d, d))


def require_like_forward(network, index):
    generator = torch.Generator().manual_seed(0)
    bound = BoundNetwork(network)
    modules = dict(sorted(network.layers[index].items()))
    for place in {place for module in modules.values() for place in module.places}:
        inputs, outputs = width(network.shape, place)
        x, y = (torch.randn(3, 17, c, generator=generator) for c in (inputs, outputs))
        found, expected = y.clone().flatten(0, 1), y
        with torch.inference_mode():
            for module in modules.values():
                if place in module.places:
                    expected = module(place, x, expected.clone(), module.capacity)
            for module in bound.layers[index].get(place, []):
                module(x.flatten(0, 1), found, ((3, 17), (4, 4)))
        torch.testing.assert_close(found.view_as(y), expected, atol=1e-5, rtol=1e-5, msg=place)
        assert torch.equal(found.view_as(y), y) == (place not in bound.layers[index])


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind(plain, kind):
    sizes = [3] + [0 if KINDS[kind].first_layer_only else 2] * (DEPTH - 1)
    network = Supernet(plain(), Architecture.of(DEPTH, {kind: sizes}), 5).eval()
    randomise(network.layers, 2)
    require_like_forward(network, 0)


def test_the_rest_of_a_small_ssf_is_not_run(plain):
    network = Supernet(plain(), Architecture.of(DEPTH, {"ssf": [3, 0]}), 5).eval()
    assert BoundNetwork(network).layers[0].keys() == {"norm1", "norm2", "proj"}
    assert BoundNetwork(network).layers[1] == {}


def test_all_kinds_of_a_layer_in_their_order(plain):
    network = Supernet(plain(), Architecture.of(DEPTH, {kind: [6, 0] for kind in KINDS}), 5).eval()
    randomise(network.layers, 2)
    require_like_forward(network, 0)


@pytest.fixture
def own_kinds():
    """A kind that looks at whole images, and a LoRA that changes the forward pass it inherits."""

    @register_elastic(Kind("means", "Means", lambda n, shape: n * shape.width))
    class Means(ElasticModule):
        places = ("norm2", "mlp")

        def __init__(self, shape, capacity):
            super().__init__(shape, capacity)
            self.tokens = nn.Parameter(torch.empty(capacity, shape.width))

        def reset(self, generator):
            nn.init.normal_(self.tokens, generator=generator)

        def forward(self, place, x, y, size):
            return y + y.mean(-2, keepdim=True) * self.tokens[:size].sum(0)

    @register_elastic(Kind("doubled", "Doubled", KINDS["lora_rank"].params))
    class Doubled(LoRA):
        def forward(self, place, x, y, size):
            return 2 * super().forward(place, x, y, size)

    yield ["means", "doubled"]
    for kind in ("means", "doubled"):
        del KINDS[kind], ELASTIC[kind]


def test_kinds_of_ones_own_keep_their_forward(plain, own_kinds):
    network = Supernet(plain(), Architecture.of(DEPTH, {kind: [2, 1] for kind in own_kinds}), 5).eval()
    randomise(network.layers, 2)
    require_like_forward(network, 0)
    require_like_forward(network, 1)


def test_the_weights_are_not_copied(plain):
    network = Supernet(plain(), Architecture.of(DEPTH, {"lora_rank": [2, 0]}), 5).eval()
    randomise(network.layers, 2)
    bound, rows = BoundNetwork(network), torch.ones(1, 96)
    with torch.no_grad():
        network.layers[0]["lora_rank"].up.zero_()
    bound.layers[0]["qkv"][0](torch.ones(1, 32), rows, ((1, 1), None))
    assert torch.equal(rows, torch.ones(1, 96))
