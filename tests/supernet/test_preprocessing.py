"""The two steps together are timm's own evaluation transform."""

import json
from dataclasses import replace

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from timm.data import create_transform, resolve_model_data_config

from supernet import Preprocessing, rgb_image


def image(mode, size):
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 4), dtype=np.uint8)
    return Image.fromarray(pixels, "RGBA").convert(mode)


CASES = {
    "as the picture": Preprocessing((3, 32, 32), (0.5,) * 3, (0.5,) * 3, "bicubic", 1.0, "center"),
    "cropped": Preprocessing(
        (3, 24, 24), (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), "bilinear", 0.875, "center"
    ),
    "not square": Preprocessing((3, 24, 40), (0.5, 0.4, 0.3), (0.2, 0.25, 0.3), "bicubic", 0.9, "center"),
    "squashed": Preprocessing((3, 28, 28), (0.5, 0.4, 0.3), (0.2, 0.25, 0.3), "bicubic", 0.9, "squash"),
    "with borders": Preprocessing((3, 28, 28), (0.1, 0.2, 0.9), (0.2, 0.25, 0.3), "bicubic", 1.0, "border"),
}


@pytest.mark.parametrize("size", [(32, 32), (50, 33), (17, 40)])
@pytest.mark.parametrize("case", CASES)
def test_it_equals_timms_evaluation_transform(case, size):
    ours = CASES[case]
    timms = create_transform(
        ours.input_size,
        is_training=False,
        interpolation=ours.interpolation,
        mean=ours.mean,
        std=ours.std,
        crop_pct=ours.crop_pct,
        crop_mode=ours.crop_mode,
        normalize=True,
    )
    picture = image("RGB", size)
    pixels = ours.to_tensor(picture)
    assert pixels.dtype == torch.uint8
    assert pixels.shape == ours.input_size
    torch.testing.assert_close(ours.normalise(pixels[None])[0], timms(picture), atol=1e-6, rtol=0)


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "1", "CMYK"])
def test_other_modes_become_rgb(mode):
    ours = CASES["cropped"]
    picture = image(mode, (30, 40))
    assert torch.equal(ours.to_tensor(picture), ours.to_tensor(rgb_image(picture)))


def test_it_is_read_from_the_backbone():
    model = timm.create_model(
        "vit_small_patch14_dinov2", pretrained=False, depth=1, embed_dim=32, num_heads=4
    )
    ours, theirs = Preprocessing.of(model), resolve_model_data_config(model)
    assert ours.to_dict() == {
        k: list(v) if isinstance(v, tuple) else v for k, v in theirs.items() if k in ours.to_dict()
    }
    assert ours.input_size == (3, 518, 518)


@pytest.mark.parametrize("case", CASES)
def test_it_survives_json(case):
    ours = CASES[case]
    again = Preprocessing.from_dict(json.loads(json.dumps(ours.to_dict())))
    assert again == ours
    assert hash(again) == hash(ours)


def test_the_transform_is_built_once_for_each_value(monkeypatch):
    built = []

    def counting(*args, **kwargs):
        built.append(args)
        return create_transform(*args, **kwargs)

    monkeypatch.setattr("supernet.preprocessing.create_transform", counting)
    ours = replace(CASES["cropped"], crop_pct=0.77)
    for _ in range(3):
        ours.to_tensor(image("RGB", (32, 32)))
    replace(ours, crop_pct=0.78).to_tensor(image("RGB", (32, 32)))
    assert len(built) == 2


def test_normalise_keeps_a_batch_of_bytes_apart():
    ours = CASES["not square"]
    images = torch.randint(0, 256, (2, 3, 24, 40), dtype=torch.uint8)
    for c in range(3):
        expected = (images[:, c].double() / 255 - ours.mean[c]) / ours.std[c]
        torch.testing.assert_close(ours.normalise(images)[:, c].double(), expected, atol=1e-6, rtol=0)
