"""Single remedies against shift: what is compared, on which images, and the table."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.robustness_study.remedies import BASE, line_of, parts_of, remedies, table
from benchmarks.robustness_study.tasks import StudyTask
from search_spaces import BackboneShape

CLASSES, IMAGES = 2, 10


@pytest.fixture
def domains(tmp_path: Path) -> StudyTask:
    """Two domains of noise, each with a brightness of its own, and test images of both."""
    rng = np.random.default_rng(0)
    lines = ["path,label,domain,split"]
    for brightness, domain in ((0, "dark"), (200, "light")):
        for label in range(CLASSES):
            for number in range(IMAGES):
                pixels = brightness + rng.integers(0, 50, (32, 32, 3))
                path = tmp_path / f"{domain}-{label}-{number}.png"
                Image.fromarray(pixels.astype(np.uint8)).save(path)
                part = "train" if number < IMAGES - 2 else "val" if number < IMAGES - 1 else "test"
                lines.append(f"{path},class{label},{domain},{part}")
    table = tmp_path / "table.csv"
    table.write_text("\n".join(lines) + "\n")
    return StudyTask("noise", str(table), "domain", "noise")


@pytest.mark.slow
def test_each_domain_is_left_out_once_and_scored_on_as_shifted_images(domains: StudyTask):
    found = list(parts_of(domains))
    assert [name for name, _, _ in found] == ["noise, dark left out", "noise, light left out"]
    for (name, inputs, shared), left_out_is_light in zip(found, (False, True), strict=True):
        assert shared.shifted is not None
        trained, shifted = shared.train.images.float().mean(), shared.shifted.part.images.float().mean()
        assert (shifted > trained) == left_out_is_light, name
        assert (shared.val.images.float().mean() < shifted) == left_out_is_light
        assert len(shared.shifted.part) == len(inputs.dataset.train) // 2
        assert len(shared.features) == len(shared.train)
        line = line_of(remedies(inputs.backbone.shape)[0], 0, inputs, shared)
        assert line["remedy"] == BASE
        assert all(0 <= line[measure] <= 1 for measure in ("accuracy", "shifted_accuracy"))


@pytest.mark.slow
def test_the_line_of_wise_ft_lies_between_its_ends(domains: StudyTask):
    _, inputs, shared = next(iter(parts_of(domains)))
    by_name = {remedy.name: remedy for remedy in remedies(inputs.backbone.shape)}
    ends = line_of(by_name["head first"], 0, inputs, shared), line_of(by_name["α 0.5"], 0, inputs, shared)
    assert ends[0]["loss"] != ends[1]["loss"]


def test_every_remedy_has_a_name_of_its_own_and_no_remedy_equals_the_base():
    shape = BackboneShape(8, 128, 128, 512, 512, 17, grid=(4, 4))
    found = remedies(shape)
    assert len({remedy.name for remedy in found}) == len(found)
    base, *others = found
    for other in others:
        assert (other.architecture, other.method, other.changes, other.head_first, other.alpha) != (
            base.architecture,
            base.method,
            base.changes,
            base.head_first,
            base.alpha,
        )


def test_changes_are_paired_with_the_base_of_the_same_part_and_seed():
    def line(part: str, remedy: str, accuracy: float) -> dict[str, object]:
        scores = {"accuracy": accuracy, "shifted_accuracy": accuracy, "shifted_loss": 1 - accuracy}
        return {"part": part, "remedy": remedy, "seed": 0, **scores}

    lines = [
        line("easy", BASE, 0.9),
        line("hard", BASE, 0.5),
        line("easy", "other", 0.92),
        line("hard", "other", 0.54),
        line("unpaired", "other", 0.1),
    ]
    rows = table(lines)[2:]
    assert rows[0] == f"| {BASE} | 70.0 | 70.0 | 0.300 |  |  |  |"
    changes = "73.0, +3.0 ± 1.0 | 73.0, +3.0 ± 1.0 | 0.270, -0.030 ± 0.010"
    assert rows[1] == f"| other | {changes} | +2.0 | +4.0 |  |"


def test_all_left_out_domains_are_one_kind_of_shift():
    def lines(remedy: str, *accuracies: float) -> list[dict[str, object]]:
        parts = ("digits", "pacs-photo, cartoon left out", "pacs-cartoon, photo left out")
        return [
            {
                "part": part,
                "remedy": remedy,
                "seed": 0,
                "accuracy": a,
                "shifted_accuracy": a,
                "shifted_loss": 1,
            }
            for part, a in zip(parts, accuracies, strict=True)
        ]

    rows = table([*lines(BASE, 0.9, 0.5, 0.7), *lines("other", 0.8, 0.6, 0.6)])
    assert rows[2].startswith(f"| {BASE} | 75.0 | 75.0 | 1.000 |")
    assert rows[3].startswith("| other | 70.0, -5.0 ± 5.0 | 70.0, -5.0 ± 5.0 |")
    assert rows[3].endswith("| -10.0 | +0.0 ± 10.0 |")
