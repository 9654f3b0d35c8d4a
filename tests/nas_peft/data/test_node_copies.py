import hashlib

import numpy as np
import pytest
import torch

from nas_peft.data import Part, node_copies
from nas_peft.data.data_cache import DataCache
from nas_peft.data.image_file import ImageFile
from nas_peft.data.image_rows import ImageRows
from nas_peft.data.node_copies import copy_to_nodes
from search_spaces.errors import InputError

pytestmark = pytest.mark.ray


@pytest.fixture
def part(tmp_path) -> Part:
    """A part of a file that other processes of this machine do not see: it has no name any more."""
    pixels = np.random.default_rng(0).integers(0, 256, (9, 3, 4, 5), dtype=np.uint8)
    path = tmp_path / "images.bin"
    path.write_bytes(pixels.tobytes())
    file = ImageFile(path, pixels.shape, hashlib.sha256(pixels.tobytes()).hexdigest())
    file.open()
    return Part(ImageRows(file, np.arange(9)), torch.arange(9))


def test_a_machine_gets_the_file_in_chunks_and_once(ray_address, part, tmp_path, monkeypatch):
    import ray

    monkeypatch.setattr(node_copies, "_CHUNK", 130)
    file, cache = part.images.block, DataCache(tmp_path / "cache", 10**9, False)
    whole = file.path.read_bytes()
    file.path.unlink()
    copy_to_nodes(ray, [part, part], folder=cache.folder)
    (copy,) = cache.copies()
    assert copy == cache.copy(file.digest)
    assert copy.read_bytes() == whole
    monkeypatch.setenv("NAS_PEFT_CACHE", str(cache.folder))
    again = ImageFile(file.path, file.shape, file.digest)  # as a worker of that machine has it
    assert torch.equal(ImageRows(again, np.arange(9))[:], part.images[:])
    cache.remove_leftovers()
    assert cache.copies() == [copy]
    del again
    cache.remove_leftovers()
    assert cache.copies() == []


@pytest.mark.thorough
def test_a_machine_that_sees_the_file_gets_nothing(ray_address, part, tmp_path):
    import ray

    copy_to_nodes(ray, [part], folder=tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


@pytest.mark.thorough
def test_a_changed_file_is_not_taken(ray_address, part, tmp_path):
    import ray

    file = part.images.block
    with file.path.open("rb+") as changed:
        changed.write(b"other")
    file.path.unlink()
    with pytest.raises(InputError, match="was changed while it was copied"):
        copy_to_nodes(ray, [part], folder=tmp_path / "cache")
    assert list((tmp_path / "cache").glob("*.copy")) == []


@pytest.mark.thorough
def test_a_worker_reads_the_rows_of_a_part(ray_address, part):
    import ray

    sums = ray.remote(lambda given: int(given.images[:].long().sum()))
    assert ray.get(sums.remote(part.take(slice(3, 9)))) == int(part.images[3:].long().sum())
