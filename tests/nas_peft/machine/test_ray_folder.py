"""A Ray that cannot start is told before the search, not after it."""

import os
import sys
from pathlib import Path

import pytest

from nas_peft.machine.ray_folder import LONGEST_SOCKET, ray_folder, require_ray_folder, socket_length
from nas_peft.machine.ray_session import RayOptions
from search_spaces.errors import InputError


@pytest.fixture(autouse=True)
def no_address(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.delenv("RAY_TMPDIR", raising=False)


def test_a_folder_is_as_long_as_the_path_of_its_socket(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TMPDIR", "/tmp")
    assert ray_folder() == Path("/tmp")
    assert socket_length(Path("/tmp")) == socket_length(Path("/tmpx")) - 1 <= LONGEST_SOCKET
    require_ray_folder()


def test_a_folder_that_is_too_long_is_told_with_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    long = tmp_path / ("x" * LONGEST_SOCKET)
    long.mkdir()
    monkeypatch.setenv("TMPDIR", str(long))
    with pytest.raises(InputError, match="set RAY_TMPDIR to a shorter one"):
        RayOptions("local").require_answer()
    monkeypatch.setenv("RAY_TMPDIR", "/tmp")
    RayOptions("local").require_answer()


def test_a_folder_that_is_none_is_told(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RAY_TMPDIR", "/dev/null")
    with pytest.raises(InputError, match="'/dev/null' cannot be written; set RAY_TMPDIR"):
        require_ray_folder()


@pytest.mark.skipif(sys.platform == "darwin", reason="file systems of macOS have no such names")
def test_a_current_folder_that_is_not_utf8_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    odd = tmp_path / os.fsdecode(b"b\xff")
    odd.mkdir()
    monkeypatch.chdir(odd)
    with pytest.raises(InputError, match="is not UTF-8; start the command in another folder"):
        require_ray_folder()
