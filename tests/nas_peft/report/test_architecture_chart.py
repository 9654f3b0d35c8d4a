"""The drawing of an architecture: every module at its layer, every kind at its place."""

from xml.etree import ElementTree

from nas_peft.report.architecture_chart import architecture_chart
from nas_peft.report.kind_places import PLACES, in_order
from search_spaces import KINDS, Architecture

MIXED = Architecture.of(
    4, {"adapter_dim": [0, 8, 0, 16], "lora_rank_pos": [4, 0, 0, 0], "prompt_tokens": [5, 5, 5, 5]}
)


def test_kinds_stand_in_the_order_in_which_an_image_passes_them():
    assert set(PLACES) == set(KINDS)
    assert in_order(MIXED.kinds) == ["lora_rank_pos", "prompt_tokens", "adapter_dim"]
    assert in_order(("of_my_own", "ssf")) == ["ssf", "of_my_own"]


def test_every_module_is_drawn_with_its_size():
    found = architecture_chart(MIXED)
    assert found is not None
    texts = [element.text for element in ElementTree.fromstring(str(found.svg)).iter("text")]
    assert texts.count("5") == 4
    assert {"8", "16", "4", "Adapter", "LoRA-pos", "VPT"} <= set(texts)
    assert found.data.rows[-1] == ("Adapter", "after the MLP", "·", "8", "·", "16")
    assert "LoRA-pos (position embedding) of size 4 once" in found.description
    assert "VPT (keys and values of attention) of size 5 in every layer" in found.description
    assert "Adapter (after the MLP) of size 8 to 16 in layers 2, 4" in found.description


def test_what_acts_in_all_layers_is_drawn_once():
    found = architecture_chart(Architecture.of(3, {"fact_rank": [4, 0, 0]}))
    assert found is not None
    assert found.data.rows == (("FacT", "all projections of all layers", "4", "·", "·"),)
    assert "FacT (all projections of all layers) of size 4 once" in found.description


def test_nothing_is_drawn_without_modules():
    assert architecture_chart(Architecture.empty(4)) is None
