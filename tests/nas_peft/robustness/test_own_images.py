"""A model's own images: by path, name and bytes; in the data set of the test and in that of the training."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from nas_peft.data.listing import Listing
from nas_peft.data.source import Reading, list_source
from nas_peft.robustness.own_images import OwnImages, TrainedOn, own_images

CLASSES = ("across", "down", "slanting")


def never(image: object) -> object:
    raise AssertionError("no image is decoded")


def listed(source: str | Path, *, domains: bool = False) -> Listing:
    return list_source(str(source), never, None, Reading(domains=domains))  # type: ignore[arg-type]


def own(
    dataset: str | Path, spec: str | Path, images: int = 0, reading: Reading | None = None
) -> tuple[OwnImages, tuple[str, ...]]:
    listing = listed(dataset)
    trained_on = TrainedOn(str(spec), CLASSES, images, reading)
    return own_images(str(dataset), listing, trained_on, never)  # type: ignore[arg-type]


def held(images: OwnImages, source: str | Path) -> int:
    return sum(images.has(item) for _, items in listed(source).parts() for item in items)


@pytest.fixture
def elsewhere(image_folder: Path, tmp_path: Path) -> Path:
    """Another data set of the same classes: each picture with a byte after its end."""
    for file in sorted(image_folder.glob("*/0*.png")):
        target = tmp_path / "elsewhere" / file.parent.name / file.name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(file.read_bytes() + b"+")
    return tmp_path / "elsewhere"


def table_of(folder: Path, file: Path) -> Path:
    """The training set as a table of two domains, as of a run that has left one out."""
    lines = ["path,label,domain,split"]
    for number, image in enumerate(sorted(folder.glob("*/*.png"))):
        part = ("train", "train", "val", "test")[number % 4]
        lines.append(f"{image},{image.parent.name},{('ink', 'paint')[number % 2]},{part}")
    file.write_text("\n".join(lines))
    return file


def test_the_data_of_the_training_count_whatever_is_tested_on(
    image_folder: Path, elsewhere: Path, tmp_path: Path
):
    table = table_of(image_folder, tmp_path / "training.csv")
    images, notes = own(elsewhere, table, 72)
    assert notes == ()
    assert held(images, table) == held(images, image_folder) == 72
    assert held(images, elsewhere) == 30


def test_copies_are_known_by_their_bytes(image_folder: Path, elsewhere: Path, tmp_path: Path):
    table = table_of(image_folder, tmp_path / "training.csv")
    images, _ = own(elsewhere, table)
    other = tmp_path / "other" / "down"
    other.mkdir(parents=True)
    first, second = sorted((image_folder / "down").glob("*.png"))[:2]
    shutil.copy(first, other / "copy.png")
    (other / "changed.png").write_bytes(second.read_bytes()[:-1] + b"+")  # of the same size
    found = {Path(item.name).name: images.has(item) for item in listed(other.parent).train}
    assert found == {"copy.png": True, "changed.png": False}


def test_a_file_is_read_only_where_sizes_are_equal(
    image_folder: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
):
    images = OwnImages([listed(image_folder)])
    sizes = {file.stat().st_size for file in image_folder.glob("*/*.png")}
    others = [item for item in listed(elsewhere).train if item.file and item.file.stat().st_size not in sizes]
    assert others
    monkeypatch.setattr(Path, "read_bytes", never)
    assert not any(images.has(item) for item in others)


def test_folders_of_domains_are_read_although_nobody_recorded_that_they_are(
    image_folder: Path, elsewhere: Path, tmp_path: Path
):
    for domain in ("ink", "paint"):
        shutil.copytree(image_folder, tmp_path / "domains" / domain)
    trained_on = TrainedOn(str(tmp_path / "domains"), CLASSES, 144)
    assert trained_on.listing(never).classes == CLASSES  # type: ignore[arg-type,union-attr]
    images, notes = own(elsewhere, tmp_path / "domains", 144)
    assert notes == ()
    assert held(images, image_folder) == 72  # as copies


def test_what_cannot_be_compared_is_said_in_a_line(image_folder: Path, elsewhere: Path, tmp_path: Path):
    gone = tmp_path / "gone"
    images, (note,) = own(elsewhere, gone)
    assert note == (
        f"the data set '{gone}' that the models were trained on is not there any more; it is not known "
        "whether shifted images are in it"
    )
    assert held(images, image_folder) == 0
    (tmp_path / "empty").mkdir()
    assert "cannot be read any more" in own(elsewhere, tmp_path / "empty")[1][0]
    assert "does not name the data set" in own(elsewhere, "")[1][0]
    _, (note,) = own(elsewhere, image_folder, 80)
    assert "has 72 images now and had 80 when the models were trained" in note
    _, (note,) = own(elsewhere, elsewhere, 31)
    assert "has 30 images now and had 31" in note


def test_images_without_files_are_known_by_name(elsewhere: Path):
    """Those of an embedded data set; one of timm is not even opened."""
    images, (note,) = own("digits", "digits", 1797)
    assert note.startswith("the images of 'digits' have no files of their own")
    assert held(images, "digits") == 1797
    images, (note,) = own(elsewhere, "digits", 1797)
    assert "'digits'" in note
    assert held(images, "digits") == 1797
    images, (note,) = own(elsewhere, "torch/cifar10", 60000)
    assert "'torch/cifar10'" in note
    item = listed("digits").train[0]
    assert not images.has(item)
    named = type(item)("torch/cifar10 train[3]", 0, item.load)
    assert images.has(named)
