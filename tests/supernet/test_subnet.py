"""A subnet reads PIL images."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from search_spaces import count_params, head_params


@pytest.fixture
def pictures():
    rng = np.random.default_rng(0)
    return [Image.fromarray(rng.integers(0, 256, (40, 30 + i, 3), dtype=np.uint8)) for i in range(5)]


@torch.no_grad()
def test_logits_are_the_networks_on_preprocessed_images(subnet, pictures):
    pixels = torch.stack([subnet.preprocessing.to_tensor(p) for p in pictures])
    expected = subnet.network(subnet.preprocessing.normalise(pixels))
    logits = subnet.logits(pictures)
    assert logits.shape == (5, 3)
    torch.testing.assert_close(logits, expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(subnet.logits(pictures, batch_size=2), expected, atol=1e-5, rtol=0)


def test_probabilities_are_calibrated_and_logits_are_not(subnet, pictures):
    logits, calibrated = subnet.logits(pictures), subnet.probabilities(pictures)
    assert subnet.temperature == 1.25
    torch.testing.assert_close(calibrated, (logits / 1.25).softmax(-1), atol=1e-6, rtol=0)
    plain = replace(subnet, temperature=None)
    torch.testing.assert_close(plain.probabilities(pictures), logits.softmax(-1), atol=1e-6, rtol=0)


def test_a_generator_serves_as_well(subnet, pictures):
    found = subnet.logits((picture for picture in pictures), batch_size=2)
    torch.testing.assert_close(found, subnet.logits(pictures), atol=1e-5, rtol=0)
    assert subnet.logits([]).shape == (0, 3)


def test_a_path_is_no_image(subnet):
    with pytest.raises(TypeError, match=r"str is not an image; give PIL images, such as PIL.Image.open"):
        subnet.probabilities(["photo.png"])


def test_one_image_is_no_list(subnet, pictures):
    with pytest.raises(TypeError, match=r"one image is given; give a list of images, such as \[image\]"):
        subnet.probabilities(pictures[0])


def test_it_is_shown_in_one_line_without_the_network(subnet):
    shown = repr(subnet)
    assert "\n" not in shown
    assert "vit_micro_patch8_32" in shown
    assert str(subnet.classes) in shown


def test_params_are_the_modules_and_the_head(subnet):
    assert subnet.architecture is subnet.network.capacity
    assert subnet.params == count_params(subnet.architecture, subnet.network.shape) + head_params(128, 3)
