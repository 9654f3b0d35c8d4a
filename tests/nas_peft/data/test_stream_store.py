"""Streams are read once, on stand-ins for the packages that read them."""

import shutil
from types import SimpleNamespace

import pytest
import torch

from nas_peft.data import load_dataset
from nas_peft.data.cache_settings import CacheSettings
from search_spaces.errors import InputError


@pytest.mark.parametrize("prefix", ["hfids", "wds"])
def test_a_large_stream_is_read_once_and_then_only_if_its_images_are_not_stored(
    stand_in, rows, tmp_path, to_tensor, prefix
):
    made = stand_in({"train": rows(20), "validation": rows(4, 50)})
    (tmp_path / "_info.json").write_text("{}")
    settings = CacheSettings(tmp_path.parent / f"{tmp_path.name} cache", smallest=0)

    def load(cache: CacheSettings = settings):
        made.opened.clear()
        read.clear()
        return load_dataset(f"{prefix}/insects", to_tensor=noted, root=tmp_path, cache=cache)

    def noted(image):
        read.append(image)
        return to_tensor(image)

    read: list = []
    in_memory = load(CacheSettings(None))
    first = load()
    assert len(made.opened) == 3
    again = load()
    assert len(read) < (8 if prefix == "wds" else 48)  # images of the network may be others the next time
    assert first.fingerprint == again.fingerprint == in_memory.fingerprint
    assert torch.equal(again.train.images[:], in_memory.train.images)
    assert torch.equal(again.test.open("now").images[:], in_memory.test.open("now").images)
    if prefix == "wds":
        for entry in settings.folder.iterdir():
            if entry.is_dir():
                shutil.rmtree(entry)
        assert load().fingerprint == first.fingerprint  # from the stream again
        made.splits["train"] = rows(21)
        (tmp_path / "_info.json").write_text("{ }")
        assert len(load().train_val) + len(load().test) == 25


def test_too_little_disk_for_a_stream_is_said_at_its_beginning(
    stand_in, rows, tmp_path, to_tensor, monkeypatch
):
    stand_in({"train": rows(20)})
    (tmp_path / "_info.json").write_text("{}")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(total=10**9, free=10**6))
    decoded = []
    with pytest.raises(InputError, match=r"images of 'wds/insects' need 1\.92 KB in"):
        load_dataset(
            "wds/insects",
            to_tensor=lambda image: decoded.append(image) or to_tensor(image),
            root=tmp_path,
            cache=CacheSettings(tmp_path / "cache", smallest=0),
        )
    assert len(decoded) == 1


def test_a_folder_for_streams_that_cannot_be_made_is_said(stand_in, rows, tmp_path, to_tensor):
    stand_in({"train": rows(20), "validation": rows(4, 50)})
    (tmp_path / "_info.json").write_text("{}")
    (tmp_path / "cache").write_text("a file")
    settings = CacheSettings(tmp_path / "cache", smallest=0)
    with pytest.raises(InputError, match=r"cannot be written to .*give --cache another folder"):
        load_dataset("wds/insects", to_tensor=to_tensor, root=tmp_path, cache=settings)
