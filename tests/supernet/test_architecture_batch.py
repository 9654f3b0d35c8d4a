"""Stacking architectures into a tensor of sizes."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from search_spaces import Architecture, load_space
from supernet import ArchitectureBatch

KINDS = ("adapter_dim", "lora_rank", "prompt_tokens")
SPACE = load_space("default", 4)
REPEATABLE = settings(deadline=None, max_examples=20, derandomize=True, database=None)


@REPEATABLE
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 6))
def test_sizes_are_indexed_by_image_layer_and_kind(seed, count):
    rng = np.random.default_rng(seed)
    many = [SPACE.sample(rng) for _ in range(count)]
    batch = ArchitectureBatch.of(many, KINDS)
    assert len(batch) == count
    assert batch.sizes.dtype == torch.int64
    for b, a in enumerate(many):
        for i in range(4):
            assert {kind: int(sizes[b]) for kind, sizes in batch.layer(i).items()} == {
                kind: a[kind][i] for kind in KINDS
            }


def test_a_kind_that_acts_everywhere_has_the_first_layers_size_in_every_layer():
    many = [Architecture.of(2, {"fact_rank": [n, 0], "lora_rank": [0, n]}) for n in (0, 2, 5)]
    batch = ArchitectureBatch.of(many, ("fact_rank", "lora_rank"))
    for i, lora in enumerate(([0, 0, 0], [0, 2, 5])):
        assert {kind: sizes.tolist() for kind, sizes in batch.layer(i).items()} == {
            "fact_rank": [0, 2, 5],
            "lora_rank": lora,
        }


def test_take_and_to_keep_rows_whole():
    rng = np.random.default_rng(0)
    many = [SPACE.sample(rng) for _ in range(5)]
    batch = ArchitectureBatch.of(many, KINDS)
    taken = batch.take(torch.tensor([3, 0, 3])).to(torch.device("cpu"))
    assert taken.kinds == KINDS
    assert torch.equal(taken.sizes, ArchitectureBatch.of([many[3], many[0], many[3]], KINDS).sizes)


def test_without_kinds_it_still_counts_images_and_layers():
    batch = ArchitectureBatch.of([Architecture.empty(4)] * 3, ())
    assert batch.sizes.shape == (3, 4, 0)
    assert batch.layer(3) == {}


def test_architectures_that_do_not_stack_are_refused():
    lora = Architecture.uniform(4, "lora_rank", 1)
    with pytest.raises(ValueError, match="lora_rank is not among"):
        ArchitectureBatch.of([lora], ("adapter_dim",))
    with pytest.raises(ValueError, match=r"one depth, not \[3, 4\]"):
        ArchitectureBatch.of([lora, Architecture.empty(3)], KINDS)
    with pytest.raises(ValueError, match="one depth"):
        ArchitectureBatch.of([], KINDS)
