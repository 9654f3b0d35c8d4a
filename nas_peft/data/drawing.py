"""Scenes of plain shapes, drawn as images."""

from __future__ import annotations

import colorsys
import math
from dataclasses import dataclass, replace
from functools import cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

SIDE = 64
"""Height and width of a picture in pixels."""

_FINER = 4  # shapes are drawn at this multiple of the resolution and averaged, which smooths their edges
_HOLE = 0.6  # the hole of a hollow shape, as a share of its radius
_COARSE = 6  # grey values along a side of the background's clouds

Colour: TypeAlias = tuple[int, int, int]
Points: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True)
class Shape:
    """An object of a scene.

    Attributes:
        outline: one of `OUTLINES`.
        x, y: centre of the shape's area, in pixels from the left and from the top.
        radius: radius of the disc of equal area, in pixels.
        angle: clockwise turn in radians from the outline's orientation in `OUTLINES`.
        colour: RGB.
        hollow: draw only a rim.
    """

    outline: str
    x: float
    y: float
    radius: float
    angle: float
    colour: Colour
    hollow: bool = False

    def corners(self) -> Points:
        """Corners of the outline in the picture, in pixels, shape (points, 2)."""
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        turned: Points = _unit_outline(self.outline) @ np.array([[cos, sin], [-sin, cos]])
        placed: Points = turned * self.radius + (self.x, self.y)
        return placed

    def reach(self) -> float:
        """Distance from the centre to the farthest corner, in pixels."""
        return _unit_reach(self.outline) * self.radius


@dataclass(frozen=True)
class Background:
    """A gradient from one colour to another, with clouds and grain.

    Attributes:
        colours: RGB at the two ends.
        angle: direction of the gradient in radians.
        clouds: brightness offsets on a coarse grid, interpolated smoothly, shape (6, 6), in units of 255.
        grain: brightness offset of each pixel of the picture, shape (64, 64), in units of 255.
    """

    colours: tuple[Colour, Colour]
    angle: float
    clouds: Points
    grain: Points


@dataclass(frozen=True)
class Scene:
    """Content of a picture: shapes, from back to front, on a background."""

    background: Background
    shapes: tuple[Shape, ...]

    def picture(self) -> Image.Image:
        """The drawn scene: RGB, 64 × 64 pixels. Grain covers the shapes too, as a camera's would."""
        picture = _gradient(self.background)
        front = shapes_alone(self.shapes)
        picture.paste(front, mask=front.getchannel("A"))
        grainy = np.asarray(picture, dtype=np.float64) + self.background.grain[..., None] * 255
        return Image.fromarray(np.clip(np.rint(grainy), 0, 255).astype(np.uint8))


def shapes_alone(shapes: tuple[Shape, ...]) -> Image.Image:
    """The shapes on a transparent background: RGBA, 64 × 64 pixels, smooth edges."""
    fine = Image.new("RGBA", (SIDE * _FINER, SIDE * _FINER))
    pen = ImageDraw.Draw(fine)
    for shape in shapes:
        pen.polygon(_fine_points(shape), fill=(*shape.colour, 255))
        if shape.hollow:
            pen.polygon(_fine_points(replace(shape, radius=shape.radius * _HOLE)), fill=(0, 0, 0, 0))
    return fine.reduce(_FINER)


def draw_background(rng: np.random.Generator) -> Background:
    """A random background: greys with a tint, from dark to medium."""
    first = rng.uniform(30, 120) + rng.normal(0, 8, 3)
    second = first + rng.normal(0, 20) + rng.normal(0, 4, 3)
    return Background(
        colours=(_colour(first), _colour(second)),
        angle=float(rng.uniform(0, 2 * math.pi)),
        clouds=rng.normal(0, 0.05, (_COARSE, _COARSE)),
        grain=rng.normal(0, 0.03, (SIDE, SIDE)),
    )


def draw_colour(rng: np.random.Generator) -> Colour:
    """A random bright colour of any hue, from pale to saturated."""
    hue, saturation, value = rng.uniform((0, 0.2, 0.8), 1)
    return _colour(np.array(colorsys.hsv_to_rgb(hue, saturation, value)) * 255)


def _colour(values: Points) -> Colour:
    red, green, blue = np.rint(np.clip(values, 0, 255)).astype(int).tolist()
    return red, green, blue


def _fine_points(shape: Shape) -> list[tuple[float, float]]:
    # Pillow's coordinates are those of pixel centres: the picture's corner is at -0.5.
    return [(x, y) for x, y in (shape.corners() * _FINER - 0.5).tolist()]


def _gradient(background: Background) -> Image.Image:
    across = (np.arange(SIDE) + 0.5) / SIDE - 0.5
    along = math.cos(background.angle) * across[None, :] + math.sin(background.angle) * across[:, None]
    share = np.clip(along / math.sqrt(2) + 0.5, 0, 1)[..., None]
    first, second = np.array(background.colours, dtype=np.float64)
    clouds = Image.fromarray(background.clouds.astype(np.float32)).resize(
        (SIDE, SIDE), Image.Resampling.BICUBIC
    )
    values = first + share * (second - first) + np.asarray(clouds, dtype=np.float64)[..., None] * 255
    return Image.fromarray(np.clip(np.rint(values), 0, 255).astype(np.uint8))


@cache
def _unit_outline(name: str) -> Points:
    """Corners of an outline with the area of the unit disc, centred on the centre of its area."""
    corners = OUTLINES[name]
    x, y = corners.T
    next_x, next_y = np.roll(corners, -1, axis=0).T
    cross = x * next_y - next_x * y
    area = cross.sum() / 2
    centre = np.array([((x + next_x) * cross).sum(), ((y + next_y) * cross).sum()]) / (6 * area)
    unit: Points = (corners - centre) * math.sqrt(math.pi / abs(area))
    return unit


@cache
def _unit_reach(name: str) -> float:
    return float(np.linalg.norm(_unit_outline(name), axis=1).max())


def _around(steps: int) -> Points:
    return np.arange(steps, dtype=np.float64) * (2 * math.pi / steps)


def _heart() -> Points:
    t = _around(48)
    height = 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
    return np.stack([-height, 16 * np.sin(t) ** 3], axis=1)


def _drop() -> Points:
    t = _around(48)
    return np.stack([np.cos(t), 0.8 * np.sin(t) * np.sin(t / 2) ** 1.5], axis=1)


OUTLINES: dict[str, Points] = {
    "square": np.array([[1.0, 1.0], [-1.0, 1.0], [-1.0, -1.0], [1.0, -1.0]]),
    "ellipse": np.stack([np.cos(_around(48)), 0.6 * np.sin(_around(48))], axis=1),
    "triangle": np.array([[1.0, 0.0], [-0.5, math.sqrt(0.75)], [-0.5, -math.sqrt(0.75)]]),
    "heart": _heart(),
    "arrowhead": np.array([[1.4, 0.0], [-1.0, 0.9], [-0.4, 0.0], [-1.0, -0.9]]),
    "drop": _drop(),
}
"""The outlines by name: corners in units of their own, shape (points, 2), pointing to the right.

Square, ellipse and heart are those of dSprites (https://github.com/google-deepmind/dsprites-dataset). Square,
ellipse and triangle look the same after a fraction of a full turn, the others only after a full turn.
"""
