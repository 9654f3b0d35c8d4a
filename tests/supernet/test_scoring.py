"""Scoring many subnets at once gives each what it has alone, and computes what they share once."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sweep import sweep

from search_spaces import Architecture, load_space
from supernet import Supernet, evaluate, score, shared_passes
from supernet.scoring_tree import AT_ONCE

laws = settings(derandomize=True, deadline=None, database=None, max_examples=15)


def uint8_images(like: torch.Tensor) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, like.shape, dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize("together", [False, True])
def test_each_subnet_scores_as_alone_in_every_family(net, images, preprocessing, space, together):
    rng = np.random.default_rng(0)
    architectures = [space.sample(rng) for _ in range(3)]
    architectures += [Architecture.empty(space.depth), architectures[0]]
    pixels, labels = uint8_images(images), torch.arange(len(images))
    found = score(net, pixels, labels, architectures, preprocessing=preprocessing, together=together)
    for a, evaluation in zip(architectures, found, strict=True):
        alone = evaluate(net, pixels, labels, preprocessing=preprocessing, architecture=a)
        torch.testing.assert_close(evaluation.losses, alone.losses, atol=1e-5, rtol=1e-5)
        assert torch.equal(evaluation.hits, alone.hits)
    assert torch.equal(found[0].losses, found[-1].losses)


@pytest.fixture(scope="module")
def small(plain, default_space, randomised) -> Supernet:
    return randomised(plain(), default_space.largest())


@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize("batch_size", sweep([1, 7, 1000], [7]))
def test_batches_do_not_matter(small, toy, preprocessing, default_space, together, batch_size):
    rng = np.random.default_rng(0)
    architectures = [default_space.sample(rng) for _ in range(4)]
    found = [
        score(small, *toy, architectures, preprocessing=preprocessing, together=together, batch_size=size)
        for size in (batch_size, 64)
    ]
    for first, second in zip(*found, strict=True):
        torch.testing.assert_close(first.losses, second.losses, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("together", [False, True])
def test_the_layers_computed_are_those_that_are_counted(
    small, toy, preprocessing, default_space, together, monkeypatch
):
    images, labels = toy
    computed = 0
    run_layer = Supernet.run_layer

    def counting(self, index, x, sizes, at):
        nonlocal computed
        computed += len(x)
        return run_layer(self, index, x, sizes, at)

    monkeypatch.setattr(Supernet, "run_layer", counting)
    rng = np.random.default_rng(1)
    architectures = [default_space.sample(rng) for _ in range(AT_ONCE + 3)]
    architectures += [Architecture.of(2, {"lora_rank": [0, r]}) for r in (1, 2, 4)]
    score(small, images, labels, architectures, preprocessing=preprocessing, together=together)
    assert computed / default_space.depth / len(labels) == pytest.approx(shared_passes(architectures))


@pytest.mark.parametrize("together", [False, True])
def test_a_module_that_acts_in_all_layers(plain, randomised, toy, preprocessing, together):
    network = randomised(plain(), Architecture.of(2, {"fact_rank": [4, 0], "lora_rank": [2, 3]}))
    tables = [{"fact_rank": [n, 0], "lora_rank": [0, r]} for n in (0, 1, 4) for r in (0, 3)]
    architectures = [Architecture.of(2, table) for table in tables]
    found = score(network, *toy, architectures, preprocessing=preprocessing, together=together)
    for a, evaluation in zip(architectures, found, strict=True):
        alone = evaluate(network, *toy, preprocessing=preprocessing, architecture=a)
        torch.testing.assert_close(evaluation.losses, alone.losses, atol=1e-5, rtol=1e-5)
    assert len({evaluation.losses.sum().item() for evaluation in found}) == len(found)


def test_layers_below_the_lowest_module_cost_one_pass():
    low = [Architecture.of(2, {"lora_rank": [0, r]}) for r in (1, 2, 4)]
    assert shared_passes(low) == (1 + 3) / 2
    assert shared_passes([*low, low[0]]) == (1 + 3) / 2
    assert shared_passes(low[:1]) == 1
    assert shared_passes([]) == 0


@laws
@given(st.integers(0, 99), st.integers(1, 40))
def test_sharing_never_costs_more(seed: int, number: int):
    rng = np.random.default_rng(seed)
    space = load_space("wide", 4)
    architectures = [space.sample(rng) for _ in range(number)]
    assert 0 < shared_passes(architectures) <= number


@pytest.mark.parametrize("kind", ["shallow_prompt_tokens", "lora_rank_pos", "fact_rank"])
def test_what_acts_before_or_in_all_layers_leaves_nothing_to_share(kind: str):
    plain, changed = (Architecture.of(2, {kind: [n, 0]}) for n in (0, 2))
    assert shared_passes([plain, changed]) == 2


def test_an_overflow_stays_with_its_subnet(small, toy, preprocessing):
    broken = Architecture.of(2, {"adapter_dim": [0, 2]})
    whole = Architecture.of(2, {"lora_rank": [0, 2]})
    network = small.extract(small.capacity)
    with torch.no_grad():
        for name, value in network.layers[1].named_parameters():
            if name.startswith("adapter_dim"):
                value.fill_(torch.inf)
    first, second = score(network, *toy, [broken, whole], preprocessing=preprocessing)
    assert not first.losses.isfinite().any()
    assert second.losses.isfinite().all()


def test_beyond_the_capacity_is_refused(small, toy, preprocessing):
    with pytest.raises(ValueError, match="is beyond the capacity"):
        score(small, *toy, [Architecture.uniform(2, "lora_rank", 999)], preprocessing=preprocessing)
