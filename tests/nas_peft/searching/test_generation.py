"""A generation's file: what was written is read, to the last bit."""

from pathlib import Path

import numpy as np

from nas_peft.searching.candidate import Candidate, Proposal
from nas_peft.searching.generation import Scored, read_generation, write_generation
from search_spaces import Architecture

LOSSES = np.array([[0.1, np.nan, 1 / 3], [2.0, np.inf, 0.0]], dtype=np.float32)


def test_what_was_written_is_read(tmp_path: Path):
    proposal = Proposal(Architecture.uniform(2, "lora_rank", 1), "sample")
    candidates = [Candidate(n, 0, proposal, 8, 7, 1 / 3, 0.1, 0.5, 3, dropped=n == 1) for n in range(2)]
    file = tmp_path / "generations" / "000.safetensors"
    write_generation(file, Scored(candidates, LOSSES, 1 / 3, 0.1, peak_memory=7))
    found = read_generation(file)
    assert found is not None
    assert found.candidates == candidates
    assert np.array_equal(found.losses, LOSSES, equal_nan=True)
    assert (found.image_passes, found.seconds, found.peak_memory) == (1 / 3, 0.1, 7)
    assert [path.name for path in file.parent.iterdir()] == ["000.safetensors"]


def test_there_may_be_none(tmp_path: Path):
    assert read_generation(tmp_path / "000.safetensors") is None
