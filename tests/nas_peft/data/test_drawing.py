import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas_peft.data.drawing import OUTLINES, SIDE, Scene, Shape, draw_background, draw_colour, shapes_alone

shapes = st.builds(
    Shape,
    outline=st.sampled_from(sorted(OUTLINES)),
    x=st.floats(28, 36),
    y=st.floats(28, 36),
    radius=st.floats(4, 12),
    angle=st.floats(0, 2 * math.pi),
    colour=st.tuples(*[st.integers(0, 255)] * 3),
    hollow=st.booleans(),
)


def coverage(shape: Shape) -> np.ndarray:
    """The share of each pixel that the shape covers."""
    return np.asarray(shapes_alone((shape,)).getchannel("A")) / 255


@given(shapes)
def test_a_shape_has_its_centre_and_its_area(shape):
    """By the picture itself. Pillow's polygons include their border: a quarter of a pixel, more at a tip."""
    shape = replace(shape, hollow=False)
    covered = coverage(shape)
    across = np.arange(SIDE) + 0.5
    x, y = (covered.sum(0) @ across, covered.sum(1) @ across) / covered.sum()
    assert (x, y) == pytest.approx((shape.x, shape.y), abs=0.5)
    around = np.linalg.norm(np.diff(shape.corners(), axis=0, append=shape.corners()[:1]), axis=1).sum()
    assert covered.sum() == pytest.approx(math.pi * shape.radius**2, abs=0.3 * around)


@given(shapes)
def test_a_hollow_shape_is_a_rim(shape):
    rim, solid = (coverage(replace(shape, hollow=hollow)) for hollow in (True, False))
    assert (rim <= solid).all()
    hole = coverage(replace(shape, radius=0.6 * shape.radius, hollow=False))
    assert rim + hole == pytest.approx(solid, abs=0.01)


@given(shapes)
def test_a_shape_is_within_its_reach(shape):
    y, x = np.nonzero(coverage(shape) > 0.3)
    assert np.hypot(x + 0.5 - shape.x, y + 0.5 - shape.y).max() <= shape.reach() + 0.75


@given(shapes, st.floats(0, 2 * math.pi))
def test_an_angle_turns_the_corners_clockwise(shape, angle):
    def directions(angle: float) -> np.ndarray:
        x, y = (Shape(shape.outline, 0, 0, 1, angle, (0, 0, 0)).corners()).T
        return x + 1j * y  # y grows downwards, so a positive turn is clockwise in the picture

    assert directions(angle) == pytest.approx(directions(0) * np.exp(1j * angle))


@pytest.mark.parametrize(
    ("outline", "turns"),
    [("square", 4), ("ellipse", 2), ("triangle", 3), ("heart", 1), ("arrowhead", 1), ("drop", 1)],
)
def test_only_these_turns_bring_an_outline_back(outline, turns):
    def turned(angle: float) -> np.ndarray:
        return coverage(Shape(outline, SIDE / 2, SIDE / 2, 15, angle, (0, 0, 0)))

    changes = {n: np.abs(turned(2 * math.pi / n) - turned(0)).sum() for n in (2, 3, 4, 8)}
    same = {n for n, change in changes.items() if change < 30}
    assert same == {n for n in changes if turns % n == 0}, changes


def test_a_picture_is_rgb_with_the_shapes_colour_on_a_duller_ground():
    rng = np.random.default_rng(0)
    for _ in range(20):
        background, colour = draw_background(rng), draw_colour(rng)
        picture = Scene(background, (Shape("square", 32, 32, 12, 0, colour),)).picture()
        assert (picture.mode, picture.size) == ("RGB", (SIDE, SIDE))
        pixels = np.asarray(picture).astype(float)
        assert pixels[28:36, 28:36].mean((0, 1)) == pytest.approx(colour, abs=6)
        assert max(colour) >= 200
        assert pixels[:8].mean((0, 1)).max() < 190
