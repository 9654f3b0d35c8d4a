import pickle  # noqa: TID251 - what is pickled here is read here

import numpy as np
import pytest

from nas_peft.data.image_file import ImageFile
from nas_peft.data.use_lock import in_use
from search_spaces.errors import InputError


@pytest.fixture
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (9, 3, 4, 5), dtype=np.uint8)


@pytest.fixture
def file(tmp_path, pixels) -> ImageFile:
    (tmp_path / "images.bin").write_bytes(pixels.tobytes())
    return ImageFile(tmp_path / "images.bin", pixels.shape, "digest")


@pytest.mark.parametrize("rows", [[], [0], [8], [3, 4, 5], [5, 4, 3], [2, 2, 7, 8, 0], list(range(9))])
def test_rows_come_in_the_order_they_are_asked_for(file, pixels, rows):
    rows = np.array(rows, dtype=np.int64)
    assert np.array_equal(file.read(rows), pixels[rows])


def test_a_pickled_file_is_its_path_and_equals_the_first(file, pixels):
    file.open()
    data = pickle.dumps(file)
    again = pickle.loads(data)
    assert len(data) < 400
    assert again == file
    assert np.array_equal(again.read(np.array([1])), pixels[1:2])


def test_another_digest_is_another_file(file):
    assert file != ImageFile(file.path, file.shape, "other")


def test_a_file_is_in_use_from_its_opening_until_nobody_has_it(file):
    path = file.path
    assert not in_use(path)
    again = pickle.loads(pickle.dumps(file))
    again.open()
    assert in_use(path)
    del again
    assert not in_use(path)


def test_a_missing_file_is_one_line_with_the_remedy(file):
    file.path.unlink()
    with pytest.raises(InputError, match=r"No such file.*start the same command again"):
        file.read(np.array([0]))


def test_a_file_of_another_size_is_refused(file):
    with file.path.open("ab") as more:
        more.write(b"x")
    with pytest.raises(InputError, match="541 bytes instead of 540"):
        file.read(np.array([0]))


def test_a_file_that_is_cut_short_while_it_is_read_ends_no_process(file):
    file.open()
    with file.path.open("rb+") as shorter:
        shorter.truncate(100)
    assert file.read(np.array([0])).shape == (1, 3, 4, 5)
    with pytest.raises(InputError, match="it has become shorter"):
        file.read(np.array([8]))
