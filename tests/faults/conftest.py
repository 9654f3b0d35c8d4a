"""A finished search of generated images, made once, and a folder for each try."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmarks.faults.hostile.ground import Ground, make_ground


@pytest.fixture(scope="session")
def good(tmp_path_factory: pytest.TempPathFactory) -> Ground:
    """Images and a finished run; tests don't change them."""
    return make_ground(tmp_path_factory.mktemp("ground"))


@pytest.fixture
def ground(good: Ground, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ground:
    """The same, with a folder of the test's own, which is the working folder."""
    monkeypatch.chdir(tmp_path)
    return replace(good, here=tmp_path)


@pytest.fixture(scope="package", autouse=True)
def one_thread() -> Iterator[None]:
    """Steps this small are slower on several threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
