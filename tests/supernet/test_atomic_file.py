"""A file is whole or not there."""

import errno
from pathlib import Path

import pytest

from search_spaces import InputError
from supernet import write_atomically
from supernet.atomic_file import text_written_atomically


def test_it_writes_and_replaces(tmp_path):
    path = tmp_path / "file"
    write_atomically(path, b"one")
    assert path.read_bytes() == b"one"
    write_atomically(path, b"")
    assert path.read_bytes() == b""
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the device that is always full")
@pytest.mark.parametrize("size", [1, 10_000_000])
def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path, size):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    (tmp_path / "file.partial").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left") as caught:
        write_atomically(path, b"x" * size)
    assert caught.value.errno == errno.ENOSPC
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_kill_while_writing_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def killed(descriptor):
        raise KeyboardInterrupt

    monkeypatch.setattr("os.fsync", killed)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    monkeypatch.undo()
    write_atomically(path, b"new")  # what the kill left is no obstacle
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_rename_leaves_no_partial_file(tmp_path):
    directory = tmp_path / "taken"
    directory.mkdir()
    with pytest.raises(OSError, match="taken"):
        write_atomically(directory, b"data")
    assert list(tmp_path.iterdir()) == [directory]


def test_a_missing_folder_is_an_error(tmp_path):
    with pytest.raises(InputError, match="file' cannot be written: its folder is missing or takes no files"):
        write_atomically(tmp_path / "missing" / "file", b"data")
    place = text_written_atomically(tmp_path / "missing" / "file")
    with pytest.raises(InputError, match="cannot be written"):
        place.__enter__()


def test_a_text_is_written_line_by_line(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    with text_written_atomically(path) as file:
        file.write("größer\n")
        assert path.read_text() == "old"
    assert path.read_bytes() == "größer\n".encode()
    with pytest.raises(TypeError), text_written_atomically(path) as file:
        file.writelines(["half", None])
    assert path.read_bytes() == "größer\n".encode()
    assert list(tmp_path.iterdir()) == [path]
