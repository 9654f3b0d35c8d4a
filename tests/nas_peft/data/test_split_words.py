"""How the parts of a data set were made, in words for people."""

import pytest

from nas_peft.data import load_dataset
from nas_peft.data.split_words import split_words


def words(folder, to_tensor, **options) -> str:
    record = load_dataset(str(folder), to_tensor=to_tensor, **options).record
    return "; ".join(f"{part}: {how}" for part, how in split_words(record).items())


def test_images_in_no_parts_are_not_called_train(tmp_path, write_classes, to_tensor):
    write_classes(tmp_path, {"cat": 10, "dog": 15})
    assert words(tmp_path, to_tensor) == (
        "test: 20% of all 25 images, by class, seed 0; val: 20% of the others; train: what remains"
    )
    assert words(tmp_path, to_tensor, seed=3, shots=2) == (
        "test: 20% of all images, by class, seed 3; "
        "val: 20% of the others, of these up to 2 per class at random, seed 3; "
        "train: what remains, of these 2 per class at random, seed 3"
    )


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("train", "test"), "test: given; val: 20% of train, by class, seed 0; train: what remains"),
        (
            ("train", "val"),
            "test: 20% of train and val, by class, seed 0; val: what remains; train: what remains",
        ),
        (("train", "val", "test"), "test: given; val: given; train: given"),
    ],
    ids=str,
)
def test_parts_that_are_there_keep_their_names(given, said, tmp_path, write_classes, to_tensor):
    for number, part in enumerate(given):
        write_classes(tmp_path / part, {"cat": 10 + number, "dog": 15 + number})
    assert words(tmp_path, to_tensor) == said


def test_images_that_were_dropped_are_among_all():
    drawn = "stratified split of {}, 20%, seed 0"
    record = {
        "splits": {
            "train": "rest of train",
            "val": drawn.format("the rest of train"),
            "test": drawn.format("train"),
        },
        "counts": {"train": 60, "val": 10, "test": 18},
        "duplicates": {"dropped": {"train": 2}},
    }
    assert split_words(record)["test"] == "20% of all 90 images, by class, seed 0"


def test_other_words_stay():
    fixed = "stratified split of all 1797 images, fixed (split seed 0, whatever the seed)"
    assert split_words({"splits": {"train": fixed}, "counts": {"train": 1}}) == {"train": fixed}
