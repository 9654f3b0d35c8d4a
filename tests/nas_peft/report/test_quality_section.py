"""Quality by class: bars, confusion matrix or plot, confusions, and the reliability diagram."""

import numpy as np
import pytest

from nas_peft.report.judged_images import JudgedImages
from nas_peft.report.quality_section import MOST_IN_MATRIX, quality_section


def judged(classes: int, images: int = 200) -> JudgedImages:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, classes, images)
    logits = rng.normal(0, 1, (images, classes))
    logits[np.arange(images), labels] += 2.0
    names = tuple(f"class {number}" for number in range(classes))
    return JudgedImages(f"{images} images", names, logits, labels, 1.5)


def test_few_classes_have_a_matrix():
    given = judged(3)
    found = quality_section(given)
    assert found.matrix is not None
    assert found.plot is None
    assert sum(cell.images for row in found.matrix for cell in row) == 200
    assert (
        sum(row[i].images for i, row in enumerate(found.matrix))
        == (given.logits.argmax(axis=1) == given.labels).sum()
    )
    assert [bar.share for bar in found.classes] == sorted(bar.share for bar in found.classes)
    assert all(0 <= bar.low <= bar.share <= bar.high <= 1 for bar in found.classes)
    images = [int(row[1]) for row in found.reliability.data.rows]
    assert sum(images) == 200
    assert found.confusions is not None
    assert sum(int(row[2]) for row in found.confusions.rows) == sum(
        cell.images for row in found.matrix for cell in row if not cell.right
    )


@pytest.mark.thorough
def test_many_classes_have_a_plot():
    found = quality_section(judged(MOST_IN_MATRIX + 1))
    assert found.matrix is None
    assert found.plot is not None
    assert "var(--bad)" in str(found.plot.svg)


def test_a_class_without_images_and_no_mistake_are_possible():
    labels = np.array([0, 1, 1])
    perfect = JudgedImages("3 images", ("a", "b", "c"), 9.0 * np.eye(3)[labels], labels, None)
    found = quality_section(perfect)
    assert found.confusions is None
    absent = next(bar for bar in found.classes if bar.name == "c")
    assert (absent.images, absent.recall, absent.share) == ("0", "–", 0.0)
    assert found.reliability.description.endswith("points on average.")


@pytest.mark.parametrize("temperature", [None, 2.0])
def test_calibration_is_said(temperature: float | None):
    given = judged(3)
    found = quality_section(
        JudgedImages(given.source, given.classes, given.logits, given.labels, temperature)
    )
    assert ("after temperature scaling by 2.000" in found.reliability.description) == (temperature == 2.0)
