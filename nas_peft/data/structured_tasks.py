"""Structured tasks on synthetic images of rendered shapes: location, orientation and count."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from nas_peft.data.drawing import SIDE, Scene, Shape, draw_background, draw_colour
from nas_peft.data.listing import Item, Listing, ToTensor
from search_spaces.streams import stream

if TYPE_CHECKING:
    from torch import Tensor

IMAGES = {"train": 800, "val": 200, "test": 1000}
"""Number of images in each part."""

LOCATIONS, ORIENTATIONS, MOST_OBJECTS = 16, 8, 8
"""Numbers of classes of the three tasks. VTAB's tasks (arXiv 1910.04867) have 16, 16 and 8; sixteen
orientations are too many for 800 images and the shipped backbone."""

_SEED = 0
_COLUMNS = 4
_MARGIN = 1.5  # pixels between a shape and the edge of the picture, or another shape
_ANY = ("square", "ellipse", "triangle", "heart")
_POINTED = ("arrowhead", "drop")  # only a full turn brings them back
_MOST_HOLLOW = 3
_FULL_TURN = 2 * math.pi


@dataclass(frozen=True)
class StructuredTask:
    """A task on rendered scenes.

    Attributes:
        what: description in words, for the record.
        classes: class names in the order of labels.
        draw: draws a random scene of a label.
    """

    what: str
    classes: tuple[str, ...]
    draw: Callable[[int, np.random.Generator], Scene]


def scene(name: str, part: str, index: int) -> tuple[Scene, int]:
    """The scene of one image of a task, and its label; always the same.

    Labels are spread evenly over each part: class sizes differ by at most one image.
    """
    task = STRUCTURED_TASKS[name]
    label = int(_labels(name, part)[index])
    return task.draw(label, stream(_SEED, name, part, index)), label


def list_structured(name: str, to_tensor: ToTensor) -> Listing:
    """The structured task ``name``, a key of `STRUCTURED_TASKS`, in its three parts.

    Images are drawn when they are loaded, from one fixed seed. Seeds of a run change what is learnt from the
    images, never the images, so runs with different seeds are comparable.
    """
    task = STRUCTURED_TASKS[name]

    def load(part: str, index: int) -> Tensor:
        return to_tensor(scene(name, part, index)[0].picture())

    def items(part: str) -> tuple[Item, ...]:
        return tuple(
            Item(f"{name}[{part} {index}]", int(label), partial(load, part, index))
            for index, label in enumerate(_labels(name, part))
        )

    how = f"synthetic images drawn for this part, fixed (drawing seed {_SEED}, whatever the seed)"
    return Listing(
        name,
        f"embedded, synthetic: {task.what}",
        task.classes,
        train=items("train"),
        val=items("val"),
        test=items("test"),
        origin=dict.fromkeys(IMAGES, how),
        version="1",
    )


def _labels(name: str, part: str) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    evenly = np.arange(IMAGES[part], dtype=np.int64) % len(STRUCTURED_TASKS[name].classes)
    return stream(_SEED, name, part, "labels").permutation(evenly)


def _location(label: int, rng: np.random.Generator) -> Scene:
    """One shape whose centre lies anywhere in the square ``label`` of a 4 × 4 grid."""
    background = draw_background(rng)
    shape = Shape(
        str(rng.choice(_ANY)),
        x=SIDE * (label % _COLUMNS + rng.uniform()) / _COLUMNS,
        y=SIDE * (label // _COLUMNS + rng.uniform()) / _COLUMNS,
        radius=rng.uniform(5, 10),
        angle=rng.uniform(0, _FULL_TURN),
        colour=draw_colour(rng),
    )
    return Scene(background, (shape,))


def _orientation(label: int, rng: np.random.Generator) -> Scene:
    """One pointed shape, turned by any angle in the eighth ``label`` of a full turn."""
    background = draw_background(rng)
    shape = Shape(
        str(rng.choice(_POINTED)),
        x=rng.uniform(0.46, 0.54) * SIDE,
        y=rng.uniform(0.46, 0.54) * SIDE,
        radius=rng.uniform(13, 18),
        angle=_FULL_TURN * (label + rng.uniform()) / ORIENTATIONS,
        colour=draw_colour(rng),
    )
    return Scene(background, (shape,))


def _count(label: int, rng: np.random.Generator) -> Scene:
    """``label + 1`` solid shapes, and up to three hollow shapes that do not count."""
    background = draw_background(rng)
    solid = label + 1
    number = solid + int(rng.integers(_MOST_HOLLOW + 1))
    shapes = [
        Shape(
            str(rng.choice(_ANY)),
            x=0.0,
            y=0.0,
            radius=rng.uniform(3.5, 5),
            angle=rng.uniform(0, _FULL_TURN),
            colour=draw_colour(rng),
            hollow=index >= solid,
        )
        for index in range(number)
    ]
    while (placed := _placed(shapes, rng)) is None:
        pass
    return Scene(background, placed)


def _placed(shapes: list[Shape], rng: np.random.Generator) -> tuple[Shape, ...] | None:
    """The shapes at random places, none touching another; None if there is no room for the last ones."""
    places: list[Shape] = []
    for shape in sorted(shapes, key=Shape.reach, reverse=True):
        edge = shape.reach() + _MARGIN
        tries = rng.uniform(edge, SIDE - edge, (100, 2))
        free = np.ones(len(tries), dtype=bool)
        for other in places:
            free &= np.hypot(*(tries - (other.x, other.y)).T) >= edge + other.reach()
        if not free.any():
            return None
        x, y = tries[free.argmax()].tolist()
        places.append(replace(shape, x=x, y=y))
    return tuple(places)


STRUCTURED_TASKS: dict[str, StructuredTask] = {
    "shapes-location": StructuredTask(
        "where a shape is, one of 4 × 4 squares, in the manner of dSprites location",
        tuple(f"row {1 + i // _COLUMNS}, column {1 + i % _COLUMNS}" for i in range(LOCATIONS)),
        _location,
    ),
    "shapes-orientation": StructuredTask(
        "the direction a shape points to, one of 8, in the manner of dSprites orientation",
        tuple(
            f"{360 * i / ORIENTATIONS:g} to {360 * (i + 1) / ORIENTATIONS:g} degrees"
            for i in range(ORIENTATIONS)
        ),
        _orientation,
    ),
    "shapes-count": StructuredTask(
        "how many solid shapes there are among hollow ones, 1 to 8, in the manner of CLEVR count",
        tuple(str(number) for number in range(1, MOST_OBJECTS + 1)),
        _count,
    ),
}
"""Tasks by name, modelled on the structured tasks of VTAB (arXiv 1910.04867), which are made from dSprites
(https://github.com/google-deepmind/dsprites-dataset) and CLEVR (arXiv 1612.06890). The images here are
different and simpler, so accuracies are not comparable with those published for VTAB."""
