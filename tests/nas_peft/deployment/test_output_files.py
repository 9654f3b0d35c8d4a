"""Files of an output come together, or not at all."""

from collections.abc import Callable
from pathlib import Path

import pytest

from nas_peft.deployment.output_files import OutputFiles
from search_spaces import InputError


def contents(folder: Path) -> dict[str, str]:
    return {str(file.relative_to(folder)): file.read_text() for file in folder.rglob("*") if file.is_file()}


def output(folder: Path, check: Callable[[], None] = lambda: None) -> None:
    """A model with its weights beside it, and a check of the files at their places."""
    with OutputFiles.aside(folder / "model.onnx") as files:
        files.written.write_text("new")
        (files.written.parent / "model.onnx.data").write_text("weights")
        assert files.bytes == 10
        assert files.companions == (folder / "model.onnx.data",)
        with files.in_place():
            check()


def test_a_file_comes_with_what_was_written_beside_it(tmp_path: Path):
    (tmp_path / "model.onnx").write_text("old")
    output(tmp_path)
    assert contents(tmp_path) == {"model.onnx": "new", "model.onnx.data": "weights"}
    assert len(list(tmp_path.iterdir())) == 2


def test_what_stood_there_is_back_after_an_error(tmp_path: Path):
    before = {"model.onnx": "old", "model.onnx.data": "old weights"}
    for name, text in before.items():
        (tmp_path / name).write_text(text)

    def check() -> None:
        assert contents(tmp_path)["model.onnx.data"] == "weights"
        raise ValueError("wrong")

    with pytest.raises(ValueError, match="wrong"):
        output(tmp_path, check)
    assert contents(tmp_path) == before
    assert len(list(tmp_path.iterdir())) == 2


def test_a_folder_of_the_user_is_not_replaced_by_a_companion(tmp_path: Path):
    (tmp_path / "model.onnx.data").mkdir()
    with pytest.raises(InputError, match=r"model.onnx.data' is a folder.*give another --output"):
        output(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["model.onnx.data"]


@pytest.mark.parametrize("name", [".", "new", "../there/"])
def test_a_folder_is_filled_or_made(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch):
    there = tmp_path / "there"
    there.mkdir()
    monkeypatch.chdir(there)
    with OutputFiles.aside(Path(name)) as files:
        files.written.mkdir()
        for file in "ab":
            (files.written / file).write_text(file)
        with files.in_place():
            pass
    assert contents(Path(name)) == {"a": "a", "b": "b"}
    assert len(list(there.iterdir())) == (1 if name == "new" else 2)
    assert there.samefile(".")
