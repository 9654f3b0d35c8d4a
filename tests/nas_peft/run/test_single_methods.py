"""Sizes of the methods that compete with the searched subnets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas_peft.run.single_methods import (
    alone,
    halvings,
    largest_alone,
    largest_everywhere,
    lora_everywhere,
    require_known,
)
from search_spaces import KINDS, BackboneShape, InputError, count_params

SHAPE = BackboneShape.vit(width=128, depth=8, tokens=17, patch=8)


@pytest.mark.parametrize(
    ("size", "count", "sizes"), [(11, 3, [11, 5, 2]), (11, 9, [11, 5, 2, 1]), (6, 1, [6]), (0, 3, [])]
)
def test_halvings_end_with_one(size: int, count: int, sizes: list[int]):
    assert halvings(size, count) == sizes


@given(st.sampled_from(sorted(KINDS)), st.integers(0, 200_000))
def test_the_largest_size_fits_and_the_next_does_not(kind: str, limit: int):
    size = largest_alone(kind, SHAPE, limit)
    assert size == 0 or count_params(alone(kind, size, SHAPE), SHAPE) <= limit
    if size != KINDS[kind].max_size:
        assert count_params(alone(kind, size + 1, SHAPE), SHAPE) > limit


@given(st.integers(0, 2_000_000))
def test_the_largest_rank_everywhere_fits_and_the_next_does_not(limit: int):
    rank = largest_everywhere(SHAPE, limit)
    assert rank == 0 or count_params(lora_everywhere(rank, SHAPE), SHAPE) <= limit
    if rank < 64:
        assert count_params(lora_everywhere(rank + 1, SHAPE), SHAPE) > limit


def test_lora_everywhere_has_one_rank_and_more_on_the_positions():
    found = lora_everywhere(2, SHAPE)
    assert [found[kind] for kind in ("lora_rank", "lora_rank_proj", "lora_rank_fc1", "lora_rank_fc2")] == [
        (2,) * 8
    ] * 4
    assert found["lora_rank_pos"] == (8,) + (0,) * 7
    assert lora_everywhere(9, SHAPE)["lora_rank_pos"][0] == 16


def test_an_unknown_name_is_refused():
    require_known(("lora_rank", "lora-everywhere"))
    with pytest.raises(
        InputError, match=r"singles is 'lora_rang', .* did you mean 'lora_rank'\? give some of "
    ):
        require_known(("lora_rang",))
