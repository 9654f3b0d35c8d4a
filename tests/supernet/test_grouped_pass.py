"""Each image of a mixed batch has the logits of its own network, whatever shares the batch."""

import numpy as np
import pytest
import torch
from conftest import randomise
from hypothesis import given, settings
from hypothesis import strategies as st

from search_spaces import KINDS, Architecture
from supernet import Supernet
from supernet.bound_modules import BoundNetwork
from supernet.grouped_pass import grouped_logits

DEPTH = 2


def random_architecture(rng):
    """Sizes from 0 to 5 of every kind, most of them 0."""
    sizes = {}
    for name, kind in KINDS.items():
        layers = 1 if kind.first_layer_only else DEPTH
        drawn = rng.integers(0, 6, layers) * (rng.random(layers) < 0.4) * (rng.random() < 0.6)
        sizes[name] = [*map(int, drawn), *[0] * (DEPTH - layers)]
    return Architecture.of(DEPTH, sizes)


def networks(model, architectures):
    found = [Supernet(model, a, 2 + i, seed=i).eval() for i, a in enumerate(architectures)]
    for i, network in enumerate(found):
        randomise(network.layers, 10 + i)
        randomise(network.head, 50 + i)
    return found


OF_ONE_KIND = [
    Architecture.of(DEPTH, {name: [size] + [0 if kind.first_layer_only else size] * (DEPTH - 1)})
    for size, (name, kind) in enumerate(KINDS.items(), 1)
    if kind.max_size is None
]
VARIED = [
    Architecture.empty(DEPTH),
    Architecture.of(DEPTH, {"ssf": [6, 1], "lora_rank": [2, 1]}),
    Architecture.of(DEPTH, {"shallow_prompt_tokens": [7, 0], "prompt_tokens": [0, 1]}),
    *(random_architecture(np.random.default_rng(seed)) for seed in range(8)),
]


@pytest.fixture(scope="module")
def pool(plain):
    """Networks of every kind alone, and of random mixtures of all kinds."""
    found = networks(plain(), [*OF_ONE_KIND, *VARIED])
    assert {kind for network in found for kind in network.capacity.kinds} == set(KINDS)
    return found, [BoundNetwork(network) for network in found]


def require_own_logits(found, bound, images, counts):
    logits = grouped_logits(bound, images, counts)
    for network, own, of_network in zip(found, torch.split(images, counts), logits, strict=True):
        with torch.no_grad():
            expected = network(own)
        assert of_network.dtype == torch.float32
        torch.testing.assert_close(of_network, expected, atol=1e-5, rtol=1e-5)


@settings(max_examples=20)
@given(
    chosen=st.lists(st.integers(0, len(OF_ONE_KIND) + len(VARIED) - 1), min_size=1, max_size=7, unique=True),
    data=st.data(),
)
def test_any_mixture(pool, chosen, data):
    found, bound = ([of_all[i] for i in chosen] for of_all in pool)
    counts = data.draw(st.lists(st.integers(1, 4), min_size=len(chosen), max_size=len(chosen)))
    generator = torch.Generator().manual_seed(sum(counts))
    require_own_logits(found, bound, torch.randn(sum(counts), 3, 32, 32, generator=generator), counts)


def test_all_kinds_in_one_batch(pool):
    found, bound = pool
    counts = [1 + i % 3 for i in range(len(found))]
    generator = torch.Generator().manual_seed(0)
    require_own_logits(found, bound, torch.randn(sum(counts), 3, 32, 32, generator=generator), counts)


def test_an_images_logits_do_not_depend_on_the_rest_of_the_batch(pool, pixels):
    _, bound = pool
    alone = grouped_logits(bound[-1:], pixels[:1], [1])[0]
    beside = grouped_logits([bound[3], bound[-1]], torch.cat([pixels[1:], pixels[:1]]), [3, 1])[1]
    torch.testing.assert_close(beside, alone, atol=1e-5, rtol=1e-5)


def test_all_families(vit, images):
    """Without VPT-shallow, where all images have as many tokens, and with it."""
    sizes = [
        {"prompt_tokens": [2, 3], "lora_rank": [1, 2], "ssf": [2, 5]},
        {"prompt_tokens": [0, 3], "adapter_dim_parallel": [0, 1], "lora_rank_pos": [2, 0]},
        {"shallow_prompt_tokens": [3, 0], "lora_rank_k": [1, 2]},
    ]
    found = networks(vit, [Architecture.of(DEPTH, s) for s in sizes])
    bound = [BoundNetwork(network) for network in found]
    require_own_logits(found[:2], bound[:2], images, [2, 1])
    require_own_logits(found, bound, images, [1, 1, 1])


def test_it_computes_in_float32_under_autocast(pool, pixels):
    found, bound = pool
    with torch.autocast("cpu", torch.bfloat16):
        logits = grouped_logits(bound[-2:], pixels, [2, 2])
    torch.testing.assert_close(logits, grouped_logits(bound[-2:], pixels, [2, 2]), atol=0, rtol=0)
    assert all(p.grad is None for network in found for p in network.parameters())
