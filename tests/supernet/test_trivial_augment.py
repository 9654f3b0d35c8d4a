"""TrivialAugment on batches: each operation does what torchvision's does, image by image."""

import pytest
import torch
from torchvision.transforms.v2 import functional

from supernet.trivial_augment import CHANGE, LOST_BITS, OPERATIONS, STRENGTHS, trivial_augment

FILL = torch.tensor([128, 102, 77], dtype=torch.uint8)
GEOMETRY = OPERATIONS[1:6]
FACTORS = {
    "brightness": functional.adjust_brightness,
    "colour": functional.adjust_saturation,
    "contrast": functional.adjust_contrast,
    "sharpness": functional.adjust_sharpness,
}


def images(number=8, height=24, width=24):
    generator = torch.Generator().manual_seed(0)
    smooth = torch.rand(number, 3, height // 4, width // 4, generator=generator)
    noise = torch.randint(-30, 31, (number, 3, height, width), generator=generator)
    upper = torch.nn.functional.interpolate(40 + 160 * smooth, (height, width), mode="bilinear")
    return (upper + noise).clamp(0, 255).to(torch.uint8)


def apply(name, strength, x):
    number = torch.full((len(x),), OPERATIONS.index(name))
    return trivial_augment(x, number, torch.full((len(x),), float(strength)), FILL)


@pytest.mark.parametrize("strength", [-1.0, -0.4, 0.0, 0.7, 1.0])
@pytest.mark.parametrize("name", FACTORS)
def test_factors_are_those_of_torchvision(name, strength):
    x = images()
    expected = FACTORS[name](x, 1 + CHANGE * strength)
    # torchvision truncates where this rounds
    assert int((apply(name, strength, x).int() - expected.int()).abs().max()) <= 1


@pytest.mark.parametrize("strength", [0.0, 0.3, 1.0, -1.0])
def test_posterize_and_solarize_are_those_of_torchvision(strength):
    x, size = images(), abs(strength)
    assert torch.equal(apply("posterize", strength, x), functional.posterize(x, 8 - round(LOST_BITS * size)))
    assert torch.equal(apply("solarize", strength, x), functional.solarize(x, 255 * (1 - size)))


def test_autocontrast_and_equalize_are_those_of_torchvision():
    x = images()
    assert torch.equal(apply("autocontrast", 0.5, x), functional.autocontrast(x))
    assert torch.equal(apply("equalize", 0.5, x), functional.equalize(x))
    assert not torch.equal(functional.equalize(x), x)


@pytest.mark.parametrize("name", OPERATIONS)
def test_strength_0_changes_nothing_but_what_has_no_strength(name):
    x = images()
    changed = not torch.equal(apply(name, 0.0, x), x)
    assert changed == (name in ("autocontrast", "equalize"))
    assert (not torch.equal(apply(name, 1.0, x), x)) == (name != "identity")


@pytest.mark.parametrize("name", GEOMETRY)
def test_moves_have_two_directions_and_fill_what_they_leave(name):
    x = images()
    there, back = apply(name, 0.8, x), apply(name, -0.8, x)
    assert not torch.equal(there, back)
    for found in (there, back):
        of_fill = (found == FILL[:, None, None]).all(1)
        assert 0.02 < float(of_fill.float().mean()) < 0.6


@pytest.mark.parametrize("size", [(32, 32), (28, 84)])
def test_the_largest_translation_is_a_seventh_of_the_side(size):
    x = torch.full((1, 3, *size), 7, dtype=torch.uint8)
    for name, dim in (("translate-x", -1), ("translate-y", -2)):
        visible = (apply(name, 1.0, x) == 7).all(1)[0].any(-1 if dim == -2 else -2)
        assert abs(int((~visible).sum()) - size[dim] / 7) <= 1


def test_an_operation_does_not_depend_on_the_rest_of_the_batch():
    generator = torch.Generator().manual_seed(2)
    x = images(3 * len(OPERATIONS))
    operations = torch.arange(len(x)) % len(OPERATIONS)
    strengths = torch.randint(-STRENGTHS + 1, STRENGTHS, (len(x),), generator=generator) / (STRENGTHS - 1)
    before = x.clone()
    together = trivial_augment(x, operations, strengths, FILL)
    assert torch.equal(x, before)  # the given images are left alone
    assert together.dtype == torch.uint8
    order = torch.randperm(len(x), generator=generator)
    shuffled = trivial_augment(x[order], operations[order], strengths[order], FILL)
    assert torch.equal(shuffled, together[order])
    for i in range(len(x)):
        alone = trivial_augment(x[i : i + 1], operations[i : i + 1], strengths[i : i + 1], FILL)
        assert torch.equal(alone[0], together[i]), OPERATIONS[operations[i]]
