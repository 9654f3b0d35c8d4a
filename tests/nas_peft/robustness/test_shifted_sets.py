"""Other domains: single folders, a folder of domains, tables; nothing that was trained on."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from nas_peft.data.source import Reading, list_source
from nas_peft.robustness.own_images import OwnImages
from nas_peft.robustness.shifted_sets import read_shifted_sets
from search_spaces import InputError

CLASSES = ("across", "down", "slanting")


def never(image: object) -> object:
    raise AssertionError("no image is decoded")


def read(*given: str | Path, own: OwnImages | None = None) -> dict[str, list[int]]:
    texts = [str(text) for text in given]
    sets = read_shifted_sets(texts, CLASSES, never, own or OwnImages())  # type: ignore[arg-type]
    return {one.name: [item.label for item in one.items] for one in sets}


@pytest.fixture
def two_domains(image_folder: Path, tmp_path: Path) -> Path:
    for domain, numbers in (("ink", "0*"), ("paint", "1*")):
        for name in ("down", "slanting"):
            target = tmp_path / "domains" / domain / name
            target.mkdir(parents=True)
            for file in sorted((image_folder / name).glob(numbers))[:3]:
                shutil.copy(file, target)
    return tmp_path / "domains"


def test_a_folder_of_domains_and_a_named_folder(two_domains: Path):
    assert read(two_domains) == {"ink": [1, 1, 1, 2, 2, 2], "paint": [1, 1, 1, 2, 2, 2]}
    assert read(f"sketch={two_domains / 'ink'}") == {"sketch": [1, 1, 1, 2, 2, 2]}


def test_a_table_with_a_column_of_domains_as_wilds_has(two_domains: Path):
    lines = ["filename,y,center,split"]
    for file in sorted(two_domains.rglob("*.png")):
        name = file.parent.name
        lines.append(f"{file.relative_to(two_domains)},{name},{file.parts[-3]},test")
    lines[1] = lines[1].replace(",test", ",train")  # all parts are read
    table = two_domains / "metadata.csv"
    table.write_text("\n".join(lines))
    assert read(table) == {"ink": [1, 1, 1, 2, 2, 2], "paint": [1, 1, 1, 2, 2, 2]}
    table.write_text("\n".join(line.replace("center", "weather") for line in lines))
    with pytest.raises(InputError, match="names no domains; give NAME="):
        read(table)
    assert list(read(f"all={table}")) == ["all"]


def test_mistakes_are_one_line(two_domains: Path, tmp_path: Path):
    with pytest.raises(InputError, match="two shifted sets are called 'ink'"):
        read(two_domains, f"ink={two_domains / 'paint'}")
    with pytest.raises(InputError, match="no name before the equals sign"):
        read(f"={two_domains}")
    with pytest.raises(InputError, match="no such folder"):
        read(f"x={tmp_path / 'nowhere'}")
    with pytest.raises(InputError, match="has the class 'ink', which the models do not have"):
        read(f"x={two_domains}")


def test_a_folder_with_a_name_has_a_folder_for_each_class(image_folder: Path, tmp_path: Path):
    """Whatever folders these have in common: the name says that they are no domains."""
    for name in ("down", "slanting"):
        for side, numbers in (("left", "0*"), ("right", "1*")):
            target = tmp_path / "sides" / name / side
            target.mkdir(parents=True)
            for file in sorted((image_folder / name).glob(numbers))[:3]:
                shutil.copy(file, target)
    assert read(f"x={tmp_path / 'sides'}") == {"x": [1] * 6 + [2] * 6}


def test_images_of_the_models_own_data_are_refused(two_domains: Path, tmp_path: Path):
    """By their real paths, whatever links lead to them, and by their bytes, whatever they are called."""
    listing = list_source(str(two_domains), never, None, Reading(domains=True))  # type: ignore[arg-type]
    own = OwnImages([listing])
    (tmp_path / "link").symlink_to(two_domains / "ink", target_is_directory=True)
    with pytest.raises(InputError, match="6 images of the shifted set 'other' are in the data that the"):
        read(f"other={tmp_path / 'link'}", own=own)
    copied = tmp_path / "copied" / "down"
    copied.mkdir(parents=True)
    shutil.copy(next((two_domains / "paint" / "down").iterdir()), copied / "another.png")
    with pytest.raises(InputError, match="1 images of the shifted set 'other' are in the data"):
        read(f"other={copied.parent}", own=own)
