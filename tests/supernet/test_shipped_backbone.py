"""The backbone that comes with the package."""

import timm
import torch

from supernet import DEFAULT_BACKBONE, Preprocessing, create_backbone
from supernet.shipped_backbone import WEIGHTS


def test_timm_knows_it_by_name():
    assert DEFAULT_BACKBONE in timm.list_models()
    assert timm.get_pretrained_cfg(DEFAULT_BACKBONE).file == str(WEIGHTS)


def test_its_shape_is_what_its_docstring_says(micro):
    assert (micro.width, micro.depth) == (128, 8)
    assert micro.model.patch_embed.num_patches == 16
    assert micro.model.num_prefix_tokens == 0
    assert micro.model.blocks[0].attn.num_heads == 4
    assert round(micro.params / 1e6, 1) == 1.6
    assert micro.model.forward_features(torch.zeros(1, 3, 32, 32)).shape == (1, 16, 128)


def test_it_can_be_made_with_a_classifier_and_other_shapes():
    model = timm.create_model(DEFAULT_BACKBONE, pretrained=False, num_classes=7, depth=2)
    assert model(torch.zeros(1, 3, 32, 32)).shape == (1, 7)


def test_its_weights_are_in_the_package():
    assert WEIGHTS.stat().st_size <= 4 * 2**20
    backbone = create_backbone(DEFAULT_BACKBONE)
    assert backbone.weights == "timm"
    random = timm.create_model(DEFAULT_BACKBONE, pretrained=False, num_classes=0)
    drawn, loaded = random.state_dict(), backbone.model.state_dict()
    assert drawn.keys() == loaded.keys()
    assert all(not torch.equal(drawn[k], loaded[k]) for k in drawn if k.endswith("weight"))
    assert all(torch.isfinite(v).all() for v in loaded.values())


def test_its_preprocessing_keeps_small_pictures_whole(micro):
    assert Preprocessing.of(micro.model) == Preprocessing(
        (3, 32, 32), (0.5,) * 3, (0.5,) * 3, "bicubic", 1.0, "center"
    )
