"""Names that tasks get from a command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from nas_peft.serving.task_names import is_task_name, named_files
from search_spaces import InputError


def test_files_are_named_after_themselves_or_their_run():
    files = [Path("a/birds.safetensors"), Path("runs/digits/subnet.safetensors"), Path("odd.bin")]
    found = named_files(files, ["own=x/subnet.safetensors", "eq=a=b"])
    assert list(found) == ["birds", "digits", "odd.bin", "own", "eq"]
    assert [str(found[name]) for name in ("own", "eq")] == ["x/subnet.safetensors", "a=b"]


@pytest.mark.parametrize(
    ("files", "named", "message"),
    [
        ([], [], "no subnet to serve; give a FILE"),
        (["a/x.safetensors", "b/x.safetensors"], [], "two tasks are named 'x'"),
        (["x.safetensors"], ["x=y"], "two tasks are named 'x'"),
        (["my birds.safetensors"], [], "'my birds' is no name of a task"),
        ([], ["birds"], "--task 'birds' names no file"),
        ([], ["birds="], "--task 'birds=' names no file"),
        ([], ["=x"], "'' is no name of a task"),
    ],
)
def test_mistakes(files, named, message):
    with pytest.raises(InputError, match=message) as mistake:
        named_files([Path(file) for file in files], named)
    assert len(str(mistake.value).splitlines()) == 1


def test_names_that_fit_an_address():
    assert all(map(is_task_name, ("a", "A-1", "birds.v2", "x" * 64)))
    assert not any(map(is_task_name, ("", "..", ".a", "a/b", "a b", "é", "x" * 65, "a\n")))
