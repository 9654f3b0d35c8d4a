"""Corruptions of pictures: as published where that is exact, by their statistics where they are random."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image
from sweep import sweep
from torch import Tensor

from nas_peft.corruptions.catalogue import (
    CORRUPTIONS,
    SEVERITIES,
    corruptions_for,
    named_corruptions,
)
from nas_peft.corruptions.corrupting import corrupted
from nas_peft.corruptions.geometry import enlarged, smeared
from nas_peft.corruptions.plasma import plasma
from search_spaces import InputError

SMALL, LARGE = 32, 80
"""Sides of pictures that take the parameters of CIFAR-C and of ImageNet-C."""


def pictures(side: int, count: int = 3) -> Tensor:
    """Smooth colours with an edge, and a little noise."""
    rng = np.random.default_rng(side)
    y, x = np.mgrid[:side, :side] / side
    smooth = np.stack([x, y, 1 - x], axis=-1) * 120 + 60 + 50 * ((x > 0.5) & (y > 0.4))[..., None]
    found = [smooth + rng.normal(0, 8, smooth.shape) for _ in range(count)]
    return torch.from_numpy(np.stack(found).clip(0, 255).astype(np.uint8)).permute(0, 3, 1, 2).contiguous()


def grey(side: int, value: int, count: int = 4) -> Tensor:
    return torch.full((count, 3, side, side), value, dtype=torch.uint8)


def changed(images: Tensor, name: str, severity: int) -> Tensor:
    return corrupted(images, name, severity, use=CORRUPTIONS[name].use)


@pytest.mark.parametrize("side", sweep([SMALL, LARGE]))
@pytest.mark.parametrize("name", CORRUPTIONS)
def test_every_corruption_changes_pictures_and_does_so_again(name: str, side: int):
    """At the mildest and the strongest severity; each picture alike in any order and number."""
    images = pictures(side)
    for severity in (1, 5):
        found = changed(images, name, severity)
        assert found.shape == images.shape
        assert found.dtype == torch.uint8
        assert all((a != b).any() for a, b in zip(found, images, strict=True)), severity
        assert torch.equal(changed(images.flip(0)[:2], name, severity), found.flip(0)[:2])


def test_there_are_the_fifteen_of_the_benchmark_and_four_others_for_choosing():
    test, choice = corruptions_for("test"), corruptions_for("choice")
    assert (len(test), set(choice)) == (15, {"speckle_noise", "gaussian_blur", "spatter", "saturate"})
    assert not set(test) & set(choice)
    for corruption in CORRUPTIONS.values():
        assert len(corruption.large) == len(corruption.small) == len(SEVERITIES)


def test_what_is_chosen_by_is_never_tested_on():
    images = grey(SMALL, 100, 1)
    with pytest.raises(ValueError, match="is for the choice, not for the test"):
        corrupted(images, "saturate", 1, use="test")
    with pytest.raises(ValueError, match="is for the test, not for the choice"):
        corrupted(images, "fog", 1, use="choice")
    with pytest.raises(InputError, match="'spatter' is kept for choosing"):
        named_corruptions(["snow", "spatter"], "test")
    with pytest.raises(InputError, match="did you mean 'snow'"):
        named_corruptions(["snwo"], "test")
    assert named_corruptions(["fog", "snow", "fog"], "test") == ("snow", "fog")
    with pytest.raises(ValueError, match="severity is 6; allowed are 1 to 5"):
        corrupted(images, "fog", 6, use="test")


def deviation(name: str, side: int, severity: int, value: int = 128) -> float:
    return float(changed(grey(side, value, 8), name, severity).float().std()) / 255


def test_noise_has_its_published_strength():
    """Deviations of CIFAR-C at 32 pixels, and of ImageNet-C above."""
    assert deviation("gaussian_noise", SMALL, 1) == pytest.approx(0.04, rel=0.05)
    assert deviation("gaussian_noise", SMALL, 5) == pytest.approx(0.10, rel=0.05)
    assert deviation("gaussian_noise", LARGE, 1) == pytest.approx(0.08, rel=0.05)
    half = 128 / 255
    assert deviation("shot_noise", SMALL, 1) == pytest.approx((half / 500) ** 0.5, rel=0.05)
    assert deviation("shot_noise", LARGE, 3) == pytest.approx((half / 12) ** 0.5, rel=0.05)
    assert deviation("speckle_noise", SMALL, 5) == pytest.approx(0.2 * half, rel=0.05)
    hit = changed(grey(LARGE, 128, 8), "impulse_noise", 4)
    assert float((hit != 128).float().mean()) == pytest.approx(0.17, rel=0.05)
    assert set(hit.unique().tolist()) == {0, 128, 255}


def test_contrast_brightness_and_saturation_are_exact():
    images = pictures(SMALL, 1)
    values = images.double() / 255
    means = values.mean(dim=(2, 3), keepdim=True)
    found = changed(images, "contrast", 3).double() / 255
    assert (found - ((values - means) * 0.4 + means)).abs().max() <= 1.01 / 255
    brighter = changed(grey(LARGE, 51), "brightness", 3)
    assert brighter.unique().tolist() == [127]  # 0.2 + 0.3, cut to a whole number
    colourless = changed(grey(SMALL, 90), "saturate", 3)
    assert colourless.unique().tolist() in ([89], [90])


def test_jpeg_and_coarse_pixels_are_those_of_pillow():
    images = pictures(SMALL, 1)
    picture = Image.fromarray(images[0].permute(1, 2, 0).numpy())
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=58)
    expected = np.asarray(Image.open(file))
    assert np.abs(changed(images, "jpeg_compression", 3)[0].permute(1, 2, 0).numpy() - expected).max() == 0
    small = picture.resize((24, 24), Image.Resampling.BOX).resize((32, 32), Image.Resampling.BOX)
    assert np.abs(changed(images, "pixelate", 4)[0].permute(1, 2, 0).numpy() - np.asarray(small)).max() == 0


def test_blurs_keep_the_mean_and_lower_the_contrast_ever_more():
    images = pictures(LARGE)
    for name in ("defocus_blur", "gaussian_blur", "glass_blur", "motion_blur"):
        means, spreads = [], [float(images.float().std())]
        for severity in (1, 3, 5):
            found = changed(images, name, severity).float()
            means.append(float(found.mean()))
            spreads.append(float(found.std()))
        if name != "motion_blur":  # which draws in more of one side
            assert means == pytest.approx([float(images.float().mean())] * 3, abs=2), name
        assert spreads == sorted(spreads, reverse=True), name


def test_glass_swaps_pixels_so_that_none_is_lost():
    """At the mildest severity of CIFAR-C the blur is too narrow to matter."""
    images = pictures(SMALL, 2)
    found = changed(images, "glass_blur", 1)
    assert (found != images).float().mean() > 0.3
    for one, other in zip(images, found, strict=True):
        before, after = one.flatten(1).sort().values.int(), other.flatten(1).sort().values.int()
        assert (before - after).abs().max() <= 1  # 8 bits in between


def test_a_smear_is_a_mean_along_a_line_and_an_enlargement_keeps_the_centre():
    layer = np.zeros((9, 9), dtype=np.float32)
    layer[4, 4] = 1
    found = smeared(layer, 2, 1.0, 0.0)
    assert found.sum() == pytest.approx(1)
    assert (found[4, :5] > 0).tolist() == [True] * 5
    assert (np.delete(found, 4, axis=0) == 0).all()
    assert np.allclose(smeared(np.ones((5, 7), dtype=np.float32), 3, 2.0, 30.0), 1)
    x = np.tile(np.arange(16, dtype=np.float32), (16, 1))
    larger = enlarged(x, 1.25)
    assert larger.shape == x.shape
    assert np.ptp(larger) < np.ptp(x)
    assert larger.mean() == pytest.approx(x.mean(), abs=0.6)


def test_clouds_fill_the_range_and_have_no_grain():
    clouds = plasma(48, 3.0, np.random.default_rng(0))
    assert clouds.shape == (48, 48)
    assert 0 <= clouds.min() < 0.2
    assert 0.8 < plasma(64, 3.0, np.random.default_rng(0)).max() == 1
    steps = np.abs(np.diff(clouds, axis=0)).mean()
    assert steps < np.abs(np.diff(plasma(48, 1.4, np.random.default_rng(0)), axis=0)).mean()


def test_weather_whitens_or_veils():
    images = grey(SMALL, 60)
    before = float(images.float().mean())
    for name in ("snow", "frost", "brightness"):
        levels = [float(changed(images, name, severity).float().mean()) for severity in (1, 5)]
        assert before < levels[0] < levels[1], name
    fog = changed(pictures(SMALL), "fog", 5)
    assert fog.float().std() < pictures(SMALL).float().std()
    spattered = changed(images, "spatter", 5)
    assert spattered.flatten(2).amin(dim=2)[:, 2].max() < 60  # mud has little blue
