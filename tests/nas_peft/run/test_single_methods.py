"""Sizes of the methods that compete with the searched subnets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas_peft.run.single_methods import (
    COMBINED,
    alone,
    halvings,
    largest_alone,
    lora_everywhere,
    require_known,
)
from search_spaces import KINDS, Architecture, BackboneShape, InputError, count_params

SHAPE = BackboneShape.vit(width=128, depth=8, tokens=17, patch=8)


@pytest.mark.parametrize(
    ("size", "count", "sizes"), [(11, 3, [11, 5, 2]), (11, 9, [11, 5, 2, 1]), (6, 1, [6]), (0, 3, [])]
)
def test_halvings_end_with_one(size: int, count: int, sizes: list[int]):
    assert halvings(size, count) == sizes


@given(st.sampled_from([*sorted(KINDS), *COMBINED]), st.integers(0, 2_000_000))
def test_the_largest_size_fits_and_the_next_does_not(name: str, limit: int):
    size = largest_alone(name, SHAPE, limit)
    assert size == 0 or count_params(alone(name, size, SHAPE), SHAPE) <= limit
    if size != (COMBINED[name].most if name in COMBINED else KINDS[name].max_size):
        assert count_params(alone(name, size + 1, SHAPE), SHAPE) > limit


def test_lora_everywhere_has_one_rank_and_more_on_the_positions():
    found = lora_everywhere(2, SHAPE)
    assert [found[kind] for kind in ("lora_rank", "lora_rank_proj", "lora_rank_fc1", "lora_rank_fc2")] == [
        (2,) * 8
    ] * 4
    assert found["lora_rank_pos"] == (8,) + (0,) * 7
    assert lora_everywhere(9, SHAPE)["lora_rank_pos"][0] == 16


def test_methods_of_two_kinds_have_both_in_every_layer():
    for name, kinds in {
        "houlsby": ("adapter_dim", "adapter_dim_attention"),
        "convpass": ("convpass_dim_attention", "convpass_dim_mlp"),
    }.items():
        assert alone(name, 3, SHAPE) == Architecture.of(8, dict.fromkeys(kinds, [3] * 8))


def test_a_method_that_the_backbone_cannot_have_is_named():
    no_grid = BackboneShape.vit(width=128, depth=8, tokens=16, patch=8)
    with pytest.raises(InputError, match="convpass_dim_attention needs a single grid of patches, which this"):
        largest_alone("convpass", no_grid, 100_000)


def test_an_unknown_name_is_refused():
    require_known(("lora_rank", "lora-everywhere"))
    with pytest.raises(
        InputError, match=r"singles is 'lora_rang', .* did you mean 'lora_rank'\? give some of "
    ):
        require_known(("lora_rang",))
