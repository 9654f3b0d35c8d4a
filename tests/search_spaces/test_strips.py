"""Architectures in one line."""

import pytest

from search_spaces import Architecture
from search_spaces.strips import ABSENT, BLOCKS, largest_sizes, strip, strips


def test_a_block_for_each_layer_and_a_dot_for_none():
    assert strip((0, 1, 4, 16), 16) == f"{ABSENT}▂▅█"
    assert strip((1, 0), 1) == f"█{ABSENT}"
    assert strip((), 3) == ""


def test_heights_rise_with_the_size_and_powers_of_two_differ():
    drawn = strip(tuple(2**n for n in range(7)), 64)
    assert list(drawn) == sorted(drawn)
    assert len(set(drawn)) == 7
    assert set(drawn) <= set(BLOCKS)


def test_a_size_beyond_the_scale_is_refused():
    with pytest.raises(ValueError, match="a size is 5, and the largest is 4"):
        strip((5,), 4)


def test_kinds_are_named_and_scaled_alike():
    small = Architecture.of(3, {"lora_rank": (1, 0, 1), "lora_rank_pos": (4, 0, 0)})
    large = Architecture.of(3, {"lora_rank": (8, 8, 8), "adapter_dim": (2, 0, 0)})
    assert strips(small) == {"LoRA": "█·█", "LoRA-pos": "█"}
    scale = largest_sizes([small, large])
    assert scale == {"adapter_dim": 2, "lora_rank": 8, "lora_rank_pos": 4}
    assert strips(large, scale) == {"Adapter": "█··", "LoRA": "███", "LoRA-pos": "·"}
    assert strips(small, scale) == {"Adapter": "···", "LoRA": "▃·▃", "LoRA-pos": "█"}
    assert strips(Architecture.empty(3)) == {}
