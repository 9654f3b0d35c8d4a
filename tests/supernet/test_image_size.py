"""Weights files of each class of backbone, and other image sizes than a backbone's own."""

from dataclasses import replace

import pytest
import timm
import torch
from safetensors.torch import save_file
from sweep import sweep
from timm.layers import resample_abs_pos_embed
from timm.models import register_model

from search_spaces import InputError
from supernet import Preprocessing, create_backbone, random_backbone

NAME = "vit_micro_patch8_32"


def shrunken(name):
    """Register a shrunken model of one of timm's, for 32 x 32 pixels in patches of 8."""

    def make(pretrained=False, **kwargs):
        shape = {"img_size": 32, "patch_size": 8, "embed_dim": 32, "depth": 2, "num_heads": 4}
        return timm.create_model(name, pretrained=pretrained, **(shape | kwargs))

    make.__name__ = f"shrunken_{name}"
    return register_model(make).__name__


CLASSES = [
    shrunken(name)
    for name in (
        "vit_tiny_patch16_224",
        "eva02_tiny_patch14_224",
        "vit_small_patch16_dinov3",
        "vit_small_patch16_rope_mixed_ape_224",
        "beit_base_patch16_224",
    )
]


@pytest.mark.parametrize("name", sweep(CLASSES, 2))
def test_a_file_of_each_class_comes_back(tmp_path, name):
    own = random_backbone(name, 3)
    save_file(own.model.state_dict() | {"head.weight": torch.zeros(7, own.width)}, tmp_path / "f.safetensors")
    assert create_backbone(name, tmp_path / "f.safetensors").digest == own.digest


@pytest.mark.parametrize("name", [CLASSES[1], CLASSES[4]])
def test_a_file_that_does_not_fit_eva_or_beit(tmp_path, name):
    path = tmp_path / "odd.safetensors"
    message = f"odd.safetensors' does not fit backbone '{name}': missing .*blocks.0"
    for state in (random_backbone(NAME, 0).model.state_dict(), {"x": torch.zeros(1)}):
        save_file(state, path)
        with pytest.raises(InputError, match=message):
            create_backbone(name, path)


def test_another_image_size_resamples_the_positions():
    """The shipped weights, by timm's own resampling; nothing but the positions changes."""
    own, wide = create_backbone(NAME), create_backbone(NAME, image_size=(32, 48))
    assert (own.image_size, wide.image_size) == (None, (32, 48))
    assert wide.digest != own.digest
    assert wide.shape.tokens == 24
    before, after = own.model.state_dict(), wide.model.state_dict()
    assert [k for k in before if not torch.equal(before[k], after[k])] == ["pos_embed"]
    expected = resample_abs_pos_embed(before["pos_embed"], [4, 6], [4, 4], num_prefix_tokens=0)
    # the shipped file holds half precision, which timm resamples to
    torch.testing.assert_close(after["pos_embed"], expected, atol=1e-3, rtol=1e-3)
    assert wide.model(torch.zeros(1, 3, 32, 48)).shape == (1, 128)
    assert Preprocessing.of(wide.model) == replace(Preprocessing.of(own.model), input_size=(3, 32, 48))
    assert create_backbone(NAME, image_size=(32, 32)).image_size is None


@pytest.mark.parametrize("name", sweep(CLASSES, 2))
def test_positions_in_a_file_are_resampled_for_another_image_size(tmp_path, name):
    size = (16, 24)
    own = random_backbone(name, 3)
    save_file(own.model.state_dict(), tmp_path / "f.safetensors")
    small = create_backbone(name, tmp_path / "f.safetensors", size)
    changed = {
        k for k, v in own.model.state_dict().items() if not torch.equal(v, small.model.state_dict()[k])
    }
    assert all("pos_embed" in k or "relative_position_bias_table" in k for k in changed)
    assert small.model.patch_embed.grid_size == (2, 3)
    assert small.model(torch.zeros(1, 3, *size)).shape == (1, small.width)
    assert random_backbone(name, 3, size).image_size == size


def test_a_resampled_relative_position_table_keeps_what_is_the_same_everywhere(tmp_path):
    name = CLASSES[4]
    state = random_backbone(name, 3).model.state_dict()
    for key, value in state.items():
        if key.endswith("relative_position_bias_table"):
            value[:] = torch.arange(4.0)
    save_file(state, tmp_path / "f.safetensors")
    small = create_backbone(name, tmp_path / "f.safetensors", (16, 24))
    table = small.model.blocks[0].attn.relative_position_bias_table
    assert table.shape == (3 * 5 + 3, 4)
    torch.testing.assert_close(table, torch.arange(4.0).expand(18, 4), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("size", "found"), [((50, 50), "48x48"), ((3, 48), "8x48"), ((0, 32), "8x32"), ((-8, 32), "8x32")]
)
def test_an_image_size_that_patches_do_not_fill_is_refused(size, found):
    with pytest.raises(InputError) as caught:
        create_backbone(NAME, image_size=size)
    assert str(caught.value) == (
        f"image size {size[0]}x{size[1]} does not fit backbone '{NAME}', whose patches have 8x8 pixels; "
        f"give multiples of these, such as {found}"
    )
