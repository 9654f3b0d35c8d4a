"""A recorded data set is recognised whatever its path looks like now."""

import unicodedata
from pathlib import Path

import pytest

from nas_peft.data import load_dataset
from nas_peft.data.recorded_source import is_like_recorded, is_recorded
from nas_peft.data.source import Reading, list_source

EARLIER = ("spec", "source", "seed", "counts", "class_counts")
"""Fields of a record by an earlier version, which has no path."""


@pytest.fixture
def recorded(tmp_path, write_classes, to_tensor, monkeypatch) -> dict[str, object]:
    """The record of a folder in decomposed spelling, given relative to its own parent."""
    name = unicodedata.normalize("NFD", "été")
    write_classes(tmp_path / "home" / name, {"a": 5, "b": 6})
    monkeypatch.chdir(tmp_path / "home")
    record = load_dataset(name, to_tensor=to_tensor).record
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return record


@pytest.mark.parametrize("earlier", [False, True])
@pytest.mark.parametrize("folder", ["home", "{here}/home", "~", "home/../home"])
def test_a_folder_is_recognised_from_elsewhere(recorded, tmp_path, earlier: bool, folder: str):
    record = {name: recorded[name] for name in EARLIER} if earlier else recorded
    name = unicodedata.normalize("NFD", "été")
    assert is_recorded(f"{folder.format(here=tmp_path)}/{name}", record)
    assert not is_recorded("home", record)
    assert not is_recorded("digits", record)


def test_a_name_is_no_folder_of_that_name(tmp_path, write_classes, monkeypatch):
    monkeypatch.chdir(tmp_path)
    by_name = {"spec": "digits", "path": None}
    assert is_recorded("digits", by_name)
    assert not is_recorded("wine", by_name)
    assert not is_recorded("digits", {})
    write_classes(tmp_path / "digits", {"a": 5, "b": 5})
    assert not is_recorded("digits", by_name)


def test_a_moved_folder_is_like_its_record(recorded, tmp_path, write_classes):
    def listing(folder: Path):
        return list_source(str(folder), lambda image: None, None, Reading())  # type: ignore[arg-type, return-value]

    write_classes(tmp_path / "moved", {"a": 5, "b": 6})
    assert is_like_recorded(listing(tmp_path / "moved"), ("a", "b"), recorded)
    write_classes(tmp_path / "more", {"a": 5, "b": 7})
    assert not is_like_recorded(listing(tmp_path / "more"), ("a", "b"), recorded)
    write_classes(tmp_path / "others", {"a": 5, "c": 6})
    assert not is_like_recorded(listing(tmp_path / "others"), ("a", "b"), recorded)
    assert not is_like_recorded(listing(tmp_path / "moved"), ("a", "b"), {"spec": "photos"})
