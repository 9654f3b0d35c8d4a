"""What a training step trains depends on the generator alone."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from search_spaces import Architecture, BackboneShape, BudgetSampler, InputError
from supernet import ArchitectureBatch, Constant, Groups, OnePath, OnePerImage, Sandwich, Step

KINDS = ("adapter_dim", "lora_rank", "prompt_tokens")
SMALLEST = Architecture.of(2, {"prompt_tokens": [1, 0]})
REPEATABLE = settings(deadline=None, max_examples=50, derandomize=True, database=None)


@pytest.fixture(params=["space", "budget"])
def draw(request, default_space):
    if request.param == "space":
        return default_space.sample
    return BudgetSampler(default_space, BackboneShape.vit(32, 2), 250, 1000).sample


def rng(seed=0):
    return np.random.default_rng(seed)


def sizes(step):
    (batch,) = step.passes
    assert isinstance(batch, ArchitectureBatch)
    assert batch.kinds == KINDS
    return batch.sizes


def numbered():
    """Draws ranks 1, 2, 3, … in turn, so that an image's rank says which draw it got."""
    drawn = iter(range(1, 1000))
    return lambda rng: Architecture.uniform(2, "lora_rank", next(drawn))


def test_constant_is_always_the_same_and_draws_nothing():
    a = Architecture.uniform(2, "lora_rank", 2)
    generator = rng()
    before = generator.bit_generator.state
    assert Constant(a)(generator, 8) == Step((a,))
    assert generator.bit_generator.state == before


def test_one_path_is_one_member_for_the_batch(draw, default_space):
    first, same = rng(), rng()
    drawn = [OnePath(draw)(first, 8) for _ in range(5)]
    assert drawn == [OnePath(draw)(same, 8) for _ in range(5)]
    paths = [a for step in drawn for a in step.passes]
    assert len(paths) == 5
    assert all(a in default_space for a in paths)
    assert len(set(paths)) > 1


def test_one_per_image_is_one_member_for_each_image(draw, default_space):
    chooser = OnePerImage(draw, KINDS)
    batch = sizes(chooser(rng(), 8))
    assert torch.equal(batch, sizes(chooser(rng(), 8)))
    assert not torch.equal(batch, sizes(chooser(rng(1), 8)))
    generator = rng()
    alone = [draw(generator) for _ in range(8)]
    assert len(set(alone)) > 1
    assert all(a in default_space for a in alone)
    assert torch.equal(batch, ArchitectureBatch.of(alone, KINDS).sizes)


def test_one_group_is_one_path_in_masked_form(draw):
    (path,) = OnePath(draw)(rng(), 8).passes
    assert torch.equal(sizes(Groups(draw, KINDS, 1)(rng(), 8)), ArchitectureBatch.of([path] * 8, KINDS).sizes)


@pytest.mark.parametrize("groups", [8, 9, 1000])
def test_a_group_for_each_image_is_one_per_image(draw, groups):
    grouped, alone = rng(), rng()
    assert torch.equal(
        sizes(Groups(draw, KINDS, groups)(grouped, 8)), sizes(OnePerImage(draw, KINDS)(alone, 8))
    )
    assert grouped.bit_generator.state == alone.bit_generator.state


@REPEATABLE
@given(groups=st.integers(1, 70), batch=st.integers(1, 70))
def test_groups_are_contiguous_and_of_nearly_equal_size(groups, batch):
    ranks = sizes(Groups(numbered(), KINDS, groups)(rng(), batch))[:, 0, KINDS.index("lora_rank")]
    assert ranks.tolist() == sorted(ranks.tolist())
    found, counts = ranks.unique(return_counts=True)
    assert found.tolist() == list(range(1, min(groups, batch) + 1))
    assert counts.max() - counts.min() <= 1


@pytest.mark.parametrize("random", [1, 3])
@pytest.mark.parametrize("distil", [False, True])
def test_a_sandwich_is_the_largest_the_smallest_and_random_ones(draw, default_space, random, distil):
    largest = default_space.largest()
    chooser = Sandwich(draw, largest, SMALLEST, random, distil)
    first, second = rng(), rng()
    steps = [chooser(first, 8) for _ in range(4)]
    assert steps == [chooser(second, 8) for _ in range(4)]
    alone = rng()
    for step in steps:
        assert step == Step((largest, SMALLEST, *(draw(alone) for _ in range(random))), distil)
    assert len({a for step in steps for a in step.passes[2:]}) > 1


def test_what_makes_no_sense_is_said(draw, default_space):
    with pytest.raises(InputError, match="groups is 0; give at least 1"):
        Groups(draw, KINDS, 0)
    with pytest.raises(InputError, match="the sandwich has 0 random architectures; give at least 1"):
        Sandwich(draw, default_space.largest(), SMALLEST, random=0)
    with pytest.raises(InputError, match=r"largest, .*, does not cover its smallest, .*; give one that does"):
        Sandwich(draw, SMALLEST, default_space.largest())
    with pytest.raises(ValueError, match="a step has 0 passes; give at least 1"):
        Step(())
    with pytest.raises(ValueError, match="a step with distillation has 1 passes; give at least 2"):
        Step((SMALLEST,), distil=True)
