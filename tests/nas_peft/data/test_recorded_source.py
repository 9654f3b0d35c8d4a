"""A recorded data set is recognised whatever its path looks like now."""

import unicodedata
from pathlib import Path

import pytest

from nas_peft.data import load_dataset
from nas_peft.data.listing import Listing
from nas_peft.data.partition import complete
from nas_peft.data.recorded_source import is_like_recorded, is_recorded, is_recorded_test
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


def listing(folder: Path) -> Listing:
    return list_source(str(folder), lambda image: None, None, Reading())  # type: ignore[arg-type, return-value]


def test_a_moved_folder_is_like_its_record(recorded, tmp_path, write_classes):
    write_classes(tmp_path / "moved", {"a": 5, "b": 6})
    assert is_like_recorded(listing(tmp_path / "moved"), ("a", "b"), recorded)
    write_classes(tmp_path / "more", {"a": 5, "b": 7})
    assert not is_like_recorded(listing(tmp_path / "more"), ("a", "b"), recorded)
    write_classes(tmp_path / "others", {"a": 5, "c": 6})
    assert not is_like_recorded(listing(tmp_path / "others"), ("a", "b"), recorded)
    assert not is_like_recorded(listing(tmp_path / "moved"), ("a", "b"), {"spec": "photos"})


def test_another_draw_is_not_the_recorded_test_part(recorded, tmp_path, write_classes, write_image):
    """Names tell it, or in records of earlier versions the numbers of images."""

    def is_that_of(record) -> bool:
        whole = complete(listing(tmp_path / "moved"), 0)
        return is_recorded_test(whole.test, whole.class_counts(whole.test).tolist(), record)

    by_class = {name: recorded[name] for name in EARLIER}
    in_all = {"counts": recorded["counts"]}
    write_classes(tmp_path / "moved", {"a": 5, "b": 6})
    assert all(map(is_that_of, (recorded, by_class, in_all, {})))
    renamed = complete(listing(tmp_path / "moved"), 0).test[0].file
    renamed.rename(renamed.with_name(f"{renamed.stem}-new.png"))
    assert [is_that_of(record) for record in (recorded, by_class)] == [False, True]
    for image in range(100, 105):  # one image of the test part more
        write_image(tmp_path / "moved" / "b" / f"{image}.png", (0, 0, 0))
    assert not any(map(is_that_of, (recorded, by_class, in_all)))
