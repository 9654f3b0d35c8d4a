"""Home folders in paths."""

from pathlib import Path

import pytest

from nas_peft.data import load_dataset
from nas_peft.data.cache_settings import CacheSettings
from nas_peft.data.home_folder import expanded
from search_spaces import InputError


def test_the_home_folder_stands_for_its_sign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert expanded("~/photos") == tmp_path / "photos"
    assert expanded("photos/~") == Path("photos/~")


def test_a_file_may_begin_with_the_sign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    Path("~$letter.png").touch()
    assert expanded("~$letter.png") == Path("~$letter.png")


def test_the_home_folder_of_nobody_is_a_mistake_of_the_path(to_tensor):
    said = "the home folder in '~nouser/x' is not known on this machine; give the whole path"
    with pytest.raises(InputError, match=said):
        load_dataset("~nouser/x", to_tensor=to_tensor)
    with pytest.raises(InputError, match=said):
        CacheSettings.of("~nouser/x", None, {})
