"""The shape of a backbone: the plain ViT's numbers, and numbers that are none."""

from dataclasses import replace

import pytest

from search_spaces import BackboneShape, InputError


def test_the_plain_vit_has_the_published_widths():
    base = BackboneShape.vit(768)
    assert (base.depth, base.width, base.attention_width, base.tokens) == (12, 768, 768, 197)
    assert (base.grid, base.patches) == ((14, 14), 196)
    assert base.fc1_width == base.hidden_width == 3072
    assert base.outside_flops == 2 * 196 * (3 * 16 * 16) * 768  # multiplications and additions of patches


@pytest.mark.parametrize(
    "name", ["depth", "width", "attention_width", "fc1_width", "hidden_width", "tokens", "outside_flops"]
)
def test_a_number_below_its_least_is_named(name: str):
    least = 0 if name == "outside_flops" else 1
    shape = replace(BackboneShape.vit(8), grid=None)
    assert getattr(replace(shape, **{name: least}), name) == least
    with pytest.raises(InputError, match=f"{name} is {least - 1}; give a whole number from {least} up"):
        replace(shape, **{name: least - 1})


def test_a_grid_has_positive_sides_and_fits_into_the_tokens():
    assert replace(BackboneShape.vit(8, tokens=6), grid=(1, 5)).patches == 5
    assert BackboneShape.vit(8, tokens=6).patches == 0
    with pytest.raises(InputError, match="a side of the grid is 0; give a whole number from 1 up"):
        replace(BackboneShape.vit(8), grid=(0, 5))
    with pytest.raises(
        InputError, match="a grid of 12 patches does not fit into 6 tokens; give its rows and"
    ):
        replace(BackboneShape.vit(8, tokens=6), grid=(3, 4))
