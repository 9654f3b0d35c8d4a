"""The shape of a backbone: the plain ViT's numbers, and numbers that are none."""

from dataclasses import replace

import pytest

from search_spaces import BackboneShape, InputError


def test_the_plain_vit_has_the_published_widths():
    base = BackboneShape.vit(768)
    assert (base.depth, base.width, base.attention_width, base.tokens) == (12, 768, 768, 197)
    assert base.fc1_width == base.hidden_width == 3072
    assert base.outside_flops == 2 * 196 * (3 * 16 * 16) * 768  # multiplications and additions of patches


@pytest.mark.parametrize(
    "name", ["depth", "width", "attention_width", "fc1_width", "hidden_width", "tokens", "outside_flops"]
)
def test_a_number_below_its_least_is_named(name: str):
    least = 0 if name == "outside_flops" else 1
    assert getattr(replace(BackboneShape.vit(8), **{name: least}), name) == least
    with pytest.raises(InputError, match=f"{name} is {least - 1}; give a whole number from {least} up"):
        replace(BackboneShape.vit(8), **{name: least - 1})
