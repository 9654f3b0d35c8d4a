"""The same picture in several parts is counted, named and taken out on request."""

import numpy as np
import pytest
from PIL import Image

from nas_peft.data import load_dataset
from nas_peft.data.remarks import data_remarks
from search_spaces.errors import InputError


def full_size(image):
    import torch

    return torch.from_numpy(np.asarray(image.resize((32, 32))).copy()).permute(2, 0, 1).contiguous()


def picture(seed: int) -> Image.Image:
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((64, 64), Image.Resampling.BICUBIC)


@pytest.fixture
def parts(tmp_path):
    """Train and test of different pictures, eight and four; one test picture is a train picture."""
    for part, start, count in (("train", 0, 4), ("test", 100, 2)):
        for label, name in enumerate(("a", "b")):
            folder = tmp_path / part / name
            folder.mkdir(parents=True)
            for i in range(count):
                picture(start + 10 * label + i).save(folder / f"{i}.png")
    (tmp_path / "test" / "a" / "copy.png").write_bytes((tmp_path / "train" / "a" / "0.png").read_bytes())
    return tmp_path


def test_identical_pictures_across_parts_are_counted_and_named(parts):
    record = load_dataset(str(parts), to_tensor=full_size).record
    found = record["duplicates"]
    assert sum(found["identical"].values()) == 1
    assert sum(found["near"].values()) == 0
    assert [str(parts / "test" / "a" / "copy.png") in pair for pair in found["examples"]] == [True]
    (sentence,) = data_remarks(record)
    assert "1 test image is the same as one in" in sentence
    assert "--drop-duplicates" in sentence


def test_a_smaller_copy_stored_anew_is_a_near_duplicate(parts):
    (parts / "test" / "a" / "copy.png").unlink()
    picture(1).resize((48, 48)).save(parts / "test" / "a" / "small.jpg", quality=85)
    found = load_dataset(str(parts), to_tensor=full_size).record["duplicates"]
    assert sum(found["identical"].values()) == 0
    assert sum(found["near"].values()) == 1


def test_duplicates_can_be_dropped_from_train_and_val(parts):
    plain = load_dataset(str(parts), to_tensor=full_size)
    dropped = load_dataset(str(parts), to_tensor=full_size, drop_duplicates=True)
    assert len(dropped.train_val) == len(plain.train_val) - 1
    assert len(dropped.test) == len(plain.test)
    assert sum(dropped.record["duplicates"]["dropped"].values()) == 1
    (sentence,) = [text for text in data_remarks(dropped.record) if "duplicates" in text]
    assert sentence.startswith("duplicates: left out 1 image of ")
    assert sentence.endswith(" that is also in a later part")


def test_what_was_dropped_is_said_by_part_and_no_longer_as_present():
    found = {"identical": {"train and val": 20, "train and test": 7, "val and test": 2}, "near": {}}
    record = {"duplicates": {**found, "two_labels": 0, "examples": [], "dropped": {"train": 27, "val": 2}}}
    sentence = "duplicates: left out 27 images of train and 2 of val that are also in a later part"
    assert data_remarks(record) == [sentence]
    record["duplicates"]["two_labels"] = 3
    assert data_remarks(record) == [f"{sentence}; before that 3 pictures had two labels"]


def test_one_picture_with_two_labels_is_counted(parts):
    (parts / "train" / "b" / "other.png").write_bytes((parts / "train" / "a" / "1.png").read_bytes())
    assert load_dataset(str(parts), to_tensor=full_size).record["duplicates"]["two_labels"] == 1


def test_a_class_that_only_copies_make_up_is_not_emptied(parts):
    for path in sorted((parts / "train" / "a").iterdir()):
        (parts / "test" / "a" / f"c{path.name}").write_bytes(path.read_bytes())
    with pytest.raises(InputError, match="without duplicates class 'a' has no images left in train"):
        load_dataset(str(parts), to_tensor=full_size, drop_duplicates=True)


@pytest.fixture
def domains(tmp_path):
    """Two domains of two classes with two pictures each in train and one in test, which has a copy, too."""
    places = [
        (part, domain, label, number)
        for part, count in (("train", 2), ("test", 1))
        for domain in ("art", "photo")
        for label in "ab"
        for number in range(count)
    ]
    for seed, (part, domain, label, number) in enumerate(places):
        folder = tmp_path / part / domain / label
        folder.mkdir(parents=True, exist_ok=True)
        picture(seed).save(folder / f"{number}.png")
    copied = (tmp_path / "train" / "art" / "a" / "0.png").read_bytes()
    (tmp_path / "test" / "art" / "a" / "copy.png").write_bytes(copied)
    return tmp_path


def test_the_domains_are_those_of_the_images_that_stay(domains):
    found = load_dataset(str(domains), to_tensor=full_size, domains=True, drop_duplicates=True)
    whole = load_dataset(str(domains), to_tensor=full_size, domains=True)
    assert len(found.train_domains) == len(found.train)
    assert len(found.train_val) == len(whole.train_val) - 1


def test_the_fingerprint_is_of_all_images_in_use(domains):
    def fingerprint(drop: bool) -> str:
        return load_dataset(str(domains), to_tensor=full_size, domains=True, drop_duplicates=drop).fingerprint

    assert fingerprint(drop=False) != fingerprint(drop=True)
    before = fingerprint(drop=False)
    (domains / "test" / "art" / "a" / "copy.png").unlink()
    assert fingerprint(drop=False) != before


def test_classes_that_differ_in_case_alone_are_said(parts):
    (parts / "test" / "a" / "copy.png").unlink()
    for part in ("train", "test"):
        (parts / part / "b").rename(parts / part / "A")
    (note,) = load_dataset(str(parts), to_tensor=full_size).record["notes"]
    assert note.startswith("'A', 'a' differ in case or spaces alone, and are 2 classes")
