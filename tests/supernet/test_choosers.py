"""What a training step trains depends on the generator alone."""

import numpy as np
import pytest
import torch

from search_spaces import Architecture, BudgetSampler
from supernet import ArchitectureBatch, Constant, OnePath, OnePerImage

KINDS = ("adapter_dim", "lora_rank", "prompt_tokens")


@pytest.fixture(params=["space", "budget"])
def draw(request, default_space):
    if request.param == "space":
        return default_space.sample
    return BudgetSampler(default_space, 32, 500, 2000).sample


def test_constant_is_always_the_same_and_draws_nothing():
    a = Architecture.uniform(4, "lora_rank", 2)
    rng = np.random.default_rng(0)
    before = rng.bit_generator.state
    assert Constant(a)(rng, 8) is a
    assert rng.bit_generator.state == before


def test_one_path_is_one_member_for_the_batch(draw, default_space):
    first, same = np.random.default_rng(0), np.random.default_rng(0)
    drawn = [OnePath(draw)(first, 8) for _ in range(5)]
    assert drawn == [OnePath(draw)(same, 8) for _ in range(5)]
    assert all(a in default_space for a in drawn)
    assert len(set(drawn)) > 1


def test_one_per_image_is_one_member_for_each_image(draw, default_space):
    chooser = OnePerImage(draw, KINDS)
    batch = chooser(np.random.default_rng(0), 8)
    assert isinstance(batch, ArchitectureBatch)
    assert batch.kinds == KINDS
    assert torch.equal(batch.sizes, chooser(np.random.default_rng(0), 8).sizes)
    assert not torch.equal(batch.sizes, chooser(np.random.default_rng(1), 8).sizes)
    rng = np.random.default_rng(0)
    alone = [draw(rng) for _ in range(8)]
    assert len(set(alone)) > 1
    assert all(a in default_space for a in alone)
    assert torch.equal(batch.sizes, ArchitectureBatch.of(alone, KINDS).sizes)
