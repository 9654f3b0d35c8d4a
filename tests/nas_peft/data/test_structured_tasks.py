"""The structured tasks: their labels are what their pictures show."""

import hashlib
import math
import re

import numpy as np
import pytest
from scipy import ndimage

from nas_peft.data.drawing import SIDE, shapes_alone
from nas_peft.data.structured_tasks import (
    IMAGES,
    ORIENTATIONS,
    STRUCTURED_TASKS,
    list_structured,
    scene,
)

every_task = pytest.mark.parametrize("name", sorted(STRUCTURED_TASKS))


def scenes(name: str, number: int = 60):
    return [scene(name, part, index) for part in IMAGES for index in range(number)]


@every_task
def test_the_parts_have_800_200_and_1000_images_with_all_classes_alike(name, to_tensor):
    listing = list_structured(name, to_tensor)
    assert {part: len(items) for part, items in listing.parts()} == {"train": 800, "val": 200, "test": 1000}
    for _, items in listing.parts():
        counts = listing.class_counts(items)
        assert counts.min() > 0
        assert counts.max() - counts.min() <= 1
    assert len(set(listing.classes)) == len(listing.classes)


@pytest.mark.parametrize(
    ("name", "digest"),
    [
        ("shapes-count", "2589a25af49b98db"),
        ("shapes-location", "599bb14b59c78db9"),
        ("shapes-orientation", "753443610d8eb763"),
    ],
)
def test_the_scenes_are_these(name, digest):
    """Numbers measured on a task are worth nothing once its images change: they need a new name then."""
    drawn = [(s.shapes, s.background.colours, label) for s, label in scenes(name, 20)]
    rounded = re.sub(r"\d+\.\d+", lambda number: f"{float(number[0]):.6f}", repr(drawn))
    assert hashlib.sha256(rounded.encode()).hexdigest()[:16] == digest


@every_task
def test_an_image_is_its_scene_and_no_two_are_equal(name):
    listing = list_structured(name, np.asarray)
    digests = set()
    for part, items in listing.parts():
        for index, item in enumerate(items[:60]):
            image = item.load()
            digests.add(hashlib.sha256(image.tobytes()).digest())
            if index < 5:
                drawn, label = scene(name, part, index)
                assert np.array_equal(image, np.asarray(drawn.picture()))
                assert item.label == label
    assert len(digests) == 3 * 60


@pytest.mark.parametrize("seen", [0, 700])
@every_task
def test_an_image_does_not_depend_on_those_before_it(name, seen):
    alone = scene(name, "train", seen)[0].picture()
    for index in range(3):
        scene(name, "test", index)
    assert scene(name, "train", seen)[0].picture().tobytes() == alone.tobytes()


def test_a_location_is_the_square_of_the_shapes_centre():
    for drawn, label in scenes("shapes-location"):
        (shape,) = drawn.shapes
        row, column = int(shape.y // (SIDE / 4)), int(shape.x // (SIDE / 4))
        assert STRUCTURED_TASKS["shapes-location"].classes[label] == f"row {row + 1}, column {column + 1}"


def test_an_orientation_is_the_direction_of_the_shapes_point():
    """The point is the corner farthest from the centre; the picture has nothing as far on the other side."""
    for drawn, label in scenes("shapes-orientation"):
        (shape,) = drawn.shapes
        away = shape.corners() - (shape.x, shape.y)
        point = away[np.argmax(np.linalg.norm(away, axis=1))]
        low, high = (math.radians(float(part)) for part in names(label))
        assert low <= math.atan2(point[1], point[0]) % (2 * math.pi) <= high
        covered = np.asarray(shapes_alone(drawn.shapes).getchannel("A"))
        x, y = np.clip((0.8 * point + (shape.x, shape.y)).astype(int), 0, SIDE - 1)
        assert covered[y, x] > 0
        x, y = np.clip((-0.8 * point + (shape.x, shape.y)).astype(int), 0, SIDE - 1)
        assert covered[y, x] == 0


def names(label: int) -> list[str]:
    return STRUCTURED_TASKS["shapes-orientation"].classes[label].removesuffix(" degrees").split(" to ")


@pytest.mark.thorough
def test_a_count_is_the_number_of_solid_pieces_in_the_picture():
    for drawn, label in scenes("shapes-count"):
        solid = tuple(shape for shape in drawn.shapes if not shape.hollow)
        covered = np.asarray(shapes_alone(solid).getchannel("A")) > 64
        assert ndimage.label(covered, np.ones((3, 3)))[1] == int(
            STRUCTURED_TASKS["shapes-count"].classes[label]
        )
        everything = np.asarray(shapes_alone(drawn.shapes).getchannel("A"))
        assert ndimage.label(everything > 64, np.ones((3, 3)))[1] == len(drawn.shapes)
        for shape in drawn.shapes:
            alone = np.asarray(shapes_alone((shape,)).getchannel("A"))
            assert (alone[int(shape.y), int(shape.x)] < 128) == shape.hollow


def test_orientations_cover_the_full_turn():
    assert names(0)[0] == "0"
    assert names(ORIENTATIONS - 1)[1] == "360"
