"""The contact sheet of the most confident mistakes."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from nas_peft.data.listing import Item
from nas_peft.evaluation.mistakes import confident_mistakes, plot_mistakes

CLASSES = ("cat", "dog", "$fox$")
PROBABILITIES = np.array([[0.9, 0.1, 0], [0.3, 0.6, 0.1], [0.2, 0.0, 0.8], [0.5, 0.3, 0.2]])
LABELS = np.array([0, 0, 1, 2])


@pytest.fixture(scope="module")
def items() -> list[Item]:
    picture = torch.full((3, 32, 32), 120, dtype=torch.uint8)
    return [Item(f"photos/$a$ {'long ' * i}{i}.png", int(LABELS[i]), lambda: picture) for i in range(4)]


def test_the_most_confident_mistakes_come_first(items: list[Item]):
    found = confident_mistakes(items, PROBABILITIES, LABELS, CLASSES)
    assert [(m.item.name[-5:], m.true, m.predicted) for m in found] == [
        ("2.png", "dog", "$fox$"),
        ("1.png", "cat", "dog"),
        ("3.png", "$fox$", "cat"),
    ]
    assert (found[0].probability, found[0].probability_of_true) == (0.8, 0.0)
    assert confident_mistakes(items, PROBABILITIES, LABELS, CLASSES, most=1) == found[:1]


def test_the_sheet_is_a_picture_with_any_names(items: list[Item], tmp_path: Path):
    """Dollar signs are no formula, and without mistakes there is a sheet, too."""
    found = confident_mistakes(items, PROBABILITIES, LABELS, CLASSES)
    for name, mistakes in (("some.png", found), ("none.png", [])):
        plot_mistakes(tmp_path / name, mistakes, "of 4 $images$")
        with Image.open(tmp_path / name) as image:
            assert image.width > 1000
    assert len({Image.open(tmp_path / name).tobytes() for name in ("some.png", "none.png")}) == 2
