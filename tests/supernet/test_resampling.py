"""Affine resampling: where pixels come from."""

import math

import pytest
import torch

from supernet.resampling import resampled

FILL = torch.tensor([9, 99, 199], dtype=torch.uint8)


def images(number=3, height=12, width=12):
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (number, 3, height, width), generator=generator, dtype=torch.uint8)


def maps(*rows, number=3):
    return torch.tensor([rows] * number, dtype=torch.float32)


@pytest.mark.parametrize("fill", [None, FILL])
@pytest.mark.parametrize("size", [(12, 12), (7, 10), (1, 1)])
def test_the_identity_changes_nothing(fill, size):
    x = images(3, *size)
    assert torch.equal(resampled(x, maps([1, 0, 0], [0, 1, 0]), fill), x)


@pytest.mark.parametrize(("shift", "dim"), [((2, 0), -1), ((0, -3), -2)])
def test_a_translation_moves_pixels_and_fills_what_it_leaves(shift, dim):
    x, by = images(), sum(shift)
    moved = resampled(x, maps([1, 0, shift[0]], [0, 1, shift[1]]), FILL)
    expected = x.roll(-by, dim)
    empty = range(12 - by, 12) if by > 0 else range(-by)
    for i in empty:
        expected.select(dim, i).copy_(FILL[None, :, None])
    assert torch.equal(moved, expected)
    near = resampled(x, maps([1, 0, shift[0]], [0, 1, shift[1]]))
    for i in empty:
        assert torch.equal(near.select(dim, i), x.select(dim, -1 if by > 0 else 0))


def test_a_quarter_turn_is_exact_for_a_square():
    x, turned = images(), maps([0, -1, 0], [1, 0, 0])
    assert torch.equal(resampled(x, turned), x.rot90(1, (-1, -2))) or torch.equal(
        resampled(x, turned), x.rot90(-1, (-1, -2))
    )


def test_a_rotation_keeps_shapes_where_the_image_is_not_square():
    x = torch.zeros(1, 3, 41, 61, dtype=torch.uint8)
    x[:, :, 18:23, 28:33] = 255  # a square of 5 pixels around the centre
    turned = resampled(x, maps([0, -1, 0], [1, 0, 0], number=1), torch.zeros(3, dtype=torch.uint8))
    assert torch.equal(turned, x)
    angle = math.pi / 4
    row = [math.cos(angle), -math.sin(angle), 0], [math.sin(angle), math.cos(angle), 0]
    area = resampled(x, maps(*row, number=1), torch.zeros(3, dtype=torch.uint8))[0, 0].float().sum() / 255
    assert float(area) == pytest.approx(25, rel=0.03)


def test_each_image_has_its_own_map_whatever_else_is_in_the_batch():
    generator = torch.Generator().manual_seed(1)
    x, different = images(5), torch.randn(5, 2, 3, generator=generator)
    for fill in (None, FILL):
        together = resampled(x, different, fill)
        alone = [resampled(x[i : i + 1], different[i : i + 1], fill) for i in range(5)]
        assert torch.equal(together, torch.cat(alone))
