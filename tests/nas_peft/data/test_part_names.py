import pytest

from nas_peft.data.part_names import part_named, part_within


@pytest.mark.parametrize(
    ("part", "names"),
    [
        ("train", ["train", "Training", "TRAIN", "training_set", "train2017", "images-train", "trainset"]),
        ("val", ["val", "valid", "Validation", "dev", "eval", "val_images", "VAL2017"]),
        ("test", ["test", "Testing", "holdout", "hold-out", "held_out", "test set", "testData"]),
        (None, ["trainer", "train station", "tests", "value", "cat", "", "testing ground", "train_val"]),
    ],
)
def test_usual_names_stand_for_parts_and_others_do_not(part, names):
    assert {name: part_named(name) for name in names} == dict.fromkeys(names, part)


@pytest.mark.parametrize(
    ("part", "names"),
    [
        ("train", ["pets_train", "train-2019-pets", "PetsTrain", "train"]),
        ("test", ["public_test", "PrivateTest", "pets holdout"]),
        (None, ["trainer", "train_val", "pets", "contest"]),
    ],
)
def test_a_word_of_a_longer_name_stands_for_a_part(part, names):
    assert {name: part_within(name) for name in names} == dict.fromkeys(names, part)
