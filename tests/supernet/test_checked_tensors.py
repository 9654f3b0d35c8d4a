"""Tensors with a checksum: what is written is read, and nothing else."""

import random

import pytest
import torch
from safetensors.torch import save

from search_spaces import InputError
from search_spaces.errors import DamagedFile
from supernet import checked_bytes, checked_tensors

TENSORS = {"b": torch.arange(6.0).reshape(2, 3), "a": torch.tensor([1, 2]), "empty": torch.zeros(0, 4)}
METADATA = {"text": "größer", "more": "{}"}


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "kept.safetensors"
    path.write_bytes(checked_bytes(TENSORS, METADATA))
    return path


def test_round_trip(file):
    tensors, metadata = checked_tensors(file)
    assert metadata == METADATA
    assert tensors.keys() == TENSORS.keys()
    assert all(torch.equal(tensors[name], value) for name, value in TENSORS.items())


def test_a_file_that_was_cut_off_is_damaged(file):
    whole = file.read_bytes()
    for length in {0, 1, 8, 9, len(whole) // 2, len(whole) - 1}:
        file.write_bytes(whole[:length])
        with pytest.raises(DamagedFile, match=r"kept.safetensors' is damaged .*; remove it"):
            checked_tensors(file)


def test_a_bit_that_was_flipped_anywhere_is_noticed_or_changes_nothing(file):
    whole, draw = file.read_bytes(), random.Random(0)
    for place in range(len(whole)):
        flipped = bytes([whole[place] ^ (1 << draw.randrange(8))])
        file.write_bytes(whole[:place] + flipped + whole[place + 1 :])
        try:
            tensors, metadata = checked_tensors(file)
        except InputError:
            continue
        assert place < len(whole) - 40  # not in the values
        assert {**metadata, **METADATA} == metadata
        assert all(torch.equal(tensors[name], value) for name, value in TENSORS.items())


def test_files_of_earlier_versions_have_no_checksum(file):
    file.write_bytes(save(TENSORS))
    assert checked_tensors(file)[0].keys() == TENSORS.keys()


def test_a_missing_file(tmp_path):
    with pytest.raises(InputError, match=r"none.safetensors' is missing"):
        checked_tensors(tmp_path / "none.safetensors")
