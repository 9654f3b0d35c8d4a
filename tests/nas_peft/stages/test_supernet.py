"""The supernets of a run, read from its folder."""

from pathlib import Path

import pytest

from nas_peft.run.run_folder import RunFolder
from nas_peft.run.search_inputs import SearchInputs
from nas_peft.stages.supernet import read_supernets
from search_spaces import InputError

pytestmark = pytest.mark.slow


def test_an_unfinished_supernet_is_not_read(tiny_inputs: SearchInputs, tmp_path: Path):
    folder = RunFolder.open(tmp_path / "run", tiny_inputs.config)
    with pytest.raises(InputError, match="has not finished training its supernet; first repeat the same"):
        read_supernets(tiny_inputs, folder, "cpu")
