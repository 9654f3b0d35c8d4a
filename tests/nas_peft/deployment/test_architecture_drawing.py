"""Architectures as strips of text."""

from nas_peft.deployment.architecture_drawing import BLOCKS, drawn
from search_spaces import Architecture


def test_a_character_for_each_layer_and_kind():
    a = Architecture.of(4, {"lora_rank": (8, 0, 1, 4), "adapter_dim": (0, 2, 2, 0)})
    assert drawn(a).splitlines() == [
        "Adapter  ·██·  2",
        "LoRA     █·▁▄  1 to 8",
    ]
    assert drawn(Architecture.empty(4)) == "no modules"


def test_small_sizes_are_seen_beside_large_ones():
    strip = drawn(Architecture.of(3, {"prompt_tokens": (1, 100, 99)})).split()[1]
    assert strip[0] == BLOCKS[0]
    assert strip[1] == BLOCKS[-1]
