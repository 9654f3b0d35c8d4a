"""Pictures of every mode as a viewer shows them; tests of decoding have more kinds of files."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from search_spaces import InputError
from supernet import Subnet, UnsuitableImage, rgb_image

SIDEWAYS = 6
"""The EXIF orientation of a picture whose left is the top of the scene."""


def scene() -> Image.Image:
    """White above, black below."""
    image = Image.new("RGB", (8, 16), "black")
    image.paste("white", (0, 0, 8, 8))
    return image


def write(path: Path, kind: str) -> Path:
    if kind == "sideways":
        exif = Image.Exif()
        exif[0x0112] = SIDEWAYS
        scene().transpose(Image.Transpose.ROTATE_90).save(path, exif=exif)
    elif kind == "16 bits":
        grey = np.asarray(scene().convert("L")).astype(np.uint16) * 257
        Image.fromarray(grey).save(path)
    else:
        alpha = scene().convert("L").point(lambda value: 255 - value)  # the white half is transparent black
        Image.merge("RGBA", [Image.new("L", (8, 16))] * 3 + [alpha]).save(path)
    return path


@pytest.mark.parametrize("kind", ["sideways", "16 bits", "transparent"])
def test_an_opened_file_is_the_scene(tmp_path: Path, kind: str, subnet: Subnet):
    path = write(tmp_path / "a.png", kind)
    with Image.open(path) as opened:
        assert np.array_equal(np.asarray(rgb_image(opened)), np.asarray(scene()))
    pixels = subnet.preprocessing.to_tensor(Image.open(path))
    assert torch.equal(pixels, subnet.preprocessing.to_tensor(scene()))
    assert torch.equal(subnet.probabilities([Image.open(path)]), subnet.probabilities([scene()]))


def test_an_upright_picture_is_not_turned_again(tmp_path: Path):
    once = rgb_image(Image.open(write(tmp_path / "a.png", "sideways")))
    assert rgb_image(once) is once


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (Image.new("RGB", (0, 3)), "it has 0 × 3 pixels"),
        (Image.new("RGB", (1, 101)), "one side is over 100 times the other"),
        (Image.new("F", (2, 2)), "floating-point numbers of unknown range"),
        (Image.fromarray(np.full((2, 2), 70_000, dtype=np.int32)), "reach from 70000 to 70000"),
    ],
)
def test_a_picture_without_a_form_in_rgb_is_refused(image: Image.Image, reason: str, subnet: Subnet):
    with pytest.raises(UnsuitableImage, match=reason):
        rgb_image(image)
    with pytest.raises(InputError, match=reason):
        subnet.logits([image])
