import numpy as np
import pytest
from sklearn.datasets import load_digits

from nas_peft.data import embedded_names
from nas_peft.data.embedded import list_embedded
from nas_peft.data.source import Reading, list_source, require_source
from search_spaces.errors import InputError


def indices(items) -> list[int]:
    return [int(item.name.removeprefix("digits[").removesuffix("]")) for item in items]


def test_the_names():
    assert embedded_names() == ("digits", "shapes-count", "shapes-location", "shapes-orientation")


def test_digits_are_split_800_200_797_with_all_classes_alike(to_tensor):
    listing = list_embedded("digits", to_tensor)
    parts = {name: indices(items) for name, items in listing.parts()}
    assert {name: len(part) for name, part in parts.items()} == {"train": 800, "val": 200, "test": 797}
    assert sorted(index for part in parts.values() for index in part) == list(range(1797))
    everything = np.bincount(load_digits().target)
    for _, items in listing.parts():
        assert np.abs(listing.class_counts(items) - everything * len(items) / 1797).max() <= 1.5
    assert listing.classes == tuple("0123456789")


def test_the_split_is_always_the_same_and_the_record_says_so(to_tensor):
    first, second = (list_embedded("digits", to_tensor) for _ in range(2))
    assert indices(first.test) == indices(second.test)
    assert all("fixed (split seed 0" in how for how in first.origin.values())
    assert set(first.origin) == {"train", "val", "test"}


def test_an_image_is_the_digit_scaled_to_eight_bits():
    sizes = []
    listing = list_embedded("digits", lambda image: sizes.append(image.size) or np.asarray(image))
    bunch = load_digits()
    for item, index in zip(listing.test[:5], indices(listing.test[:5]), strict=True):
        image = item.load()
        assert item.label == bunch.target[index]
        assert np.array_equal(image[..., 0], np.rint(bunch.images[index] * 255 / 16))
        assert np.array_equal(image[..., 0], image[..., 2])
    assert sizes == [(8, 8)] * 5


def test_an_unknown_name_is_refused(to_tensor):
    with pytest.raises(InputError, match=r"unknown embedded data set 'digit'; did you mean 'digits'\?"):
        list_embedded("digit", to_tensor)


def test_a_run_folder_of_the_same_name_is_not_taken_for_the_data(to_tensor, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits").mkdir()
    with pytest.raises(InputError, match="has no class folders"):  # a folder that someone meant
        list_source("digits", to_tensor, None, Reading())
    (tmp_path / "digits" / "config.yaml").write_text("dataset: digits\n")  # --out digits
    assert len(list_source("digits", to_tensor, None, Reading()).train) == 800
    assert require_source("digits", Reading()) is None
