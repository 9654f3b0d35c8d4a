import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nas_peft.data.listing import Item, Listing
from nas_peft.data.partition import complete, few_shot
from search_spaces.errors import InputError


def items(part: str, counts: list[int]) -> tuple[Item, ...]:
    def load():
        return torch.zeros(3, 1, 1, dtype=torch.uint8)

    return tuple(
        Item(f"{part}/{label}/{index}", label, load)
        for label, count in enumerate(counts)
        for index in range(count)
    )


def listing(train: list[int], val: list[int] | None = None, test: list[int] | None = None) -> Listing:
    return Listing(
        "birds",
        "made up",
        tuple(f"class {label}" for label in range(len(train))),
        items("train", train),
        None if val is None else items("val", val),
        None if test is None else items("test", test),
    )


def names(part) -> list[str]:
    return [item.name for item in part]


counts_per_class = st.lists(st.integers(3, 30), min_size=2, max_size=8)


@given(counts_per_class, st.integers(0, 1000))
def test_missing_parts_are_split_off_disjoint_complete_and_with_every_class(counts, seed):
    bare = listing(counts)
    whole = complete(bare, seed)
    parts = [names(items) for _, items in whole.parts()]
    assert len(parts) == 3
    assert sorted(name for part in parts for name in part) == sorted(names(bare.train))
    for _, part in whole.parts():
        assert (whole.class_counts(part) >= 1).all()
    for _, part in complete(bare, seed).parts():
        assert names(part) in parts


def test_a_fifth_goes_to_test_and_a_fifth_of_the_rest_to_val():
    whole = complete(listing([50, 100, 25]), 0)
    assert [whole.class_counts(part).tolist() for _, part in whole.parts()] == [
        [32, 64, 16],
        [8, 16, 4],
        [10, 20, 5],
    ]
    assert whole.origin == {
        "train": "rest of train",
        "val": "stratified split of the rest of train, 20%, seed 0",
        "test": "stratified split of train, 20%, seed 0",
    }


def test_given_parts_stay_as_they_are():
    given_all = listing([5, 5], [1, 2], [3, 3])
    assert complete(given_all, 0) is given_all
    without_val = complete(listing([10, 10], None, [3, 3]), 4)
    assert names(without_val.test) == names(given_all.test)
    assert without_val.class_counts(without_val.val).tolist() == [2, 2]
    assert without_val.origin == {
        "train": "rest of train",
        "val": "stratified split of train, 20%, seed 4",
    }


@given(st.integers(0, 50))
def test_a_test_part_comes_from_train_and_val_and_leaves_both_their_roles(seed):
    bare = listing([20, 10, 4], [5, 10, 0])
    whole = complete(bare, seed)
    assert whole.class_counts(whole.test).tolist() == [5, 4, 1]
    assert set(names(whole.train)) < set(names(bare.train))
    assert set(names(whole.val)) <= set(names(bare.val))
    assert len(whole.train) + len(whole.val) + len(whole.test) == 49
    assert (whole.class_counts(whole.train) >= 1).all()
    assert (whole.class_counts(whole.val)[:2] >= 1).all()
    assert whole.origin["test"] == f"stratified split of train and val, 20%, seed {seed}"


def test_seeds_split_differently():
    assert len({tuple(names(complete(listing([20, 20]), seed).test)) for seed in range(5)}) == 5


def test_the_test_split_does_not_depend_on_what_follows():
    whole = complete(listing([20, 20]), 3)
    shot = few_shot(complete(listing([20, 20]), 3), 2, 3)
    assert names(whole.test) == names(shot.test)


@pytest.mark.parametrize(
    ("bare", "message"),
    [
        (listing([5, 2]), "'class 1' has 2 images, 3 are needed .one each for train, val and test"),
        (listing([5, 1]), "'class 1' has 1 image, 3 are needed"),
        (listing([1, 5], None, [1, 1]), "'class 0' has 1 image, 2 are needed .one each for train and val"),
        (listing([1, 5], [1, 1]), "'class 0' has 2 images, 3 are needed .one each for train, val and test"),
    ],
)
def test_a_class_too_small_to_split_is_named(bare, message):
    with pytest.raises(InputError, match=message):
        complete(bare, 0)


@pytest.mark.parametrize(("shots", "val_shots"), [(1, 1), (3, 3), (4, 4), (6, 4)])
def test_few_shots_follow_the_protocol_of_coop(shots, val_shots):
    whole = listing([9, 6], [8, 5], [7, 7])
    few = few_shot(whole, shots, 0)
    assert few.class_counts(few.train).tolist() == [shots, shots]
    assert few.class_counts(few.val).tolist() == [val_shots, val_shots]
    assert few.test is whole.test
    assert set(names(few.train)) <= set(names(whole.train))
    assert few.origin["train"] == f"given; {shots} per class at random, seed 0"
    assert few.origin["val"] == f"given; up to {val_shots} per class at random, seed 0"


def test_a_class_with_less_validation_than_shots_gives_all():
    few = few_shot(listing([9, 9], [2, 5], [1, 1]), 4, 0)
    assert few.class_counts(few.val).tolist() == [2, 4]


def test_shots_are_drawn_by_the_seed():
    whole = listing([30, 30], [9, 9], [1, 1])
    drawn = [names(few_shot(whole, 3, seed).train) for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert {int(np.sum([name.startswith("train/0/") for name in draw])) for draw in drawn} == {3}


@pytest.mark.parametrize("shots", [0, -2])
def test_shots_below_one_are_refused(shots):
    with pytest.raises(InputError, match=f"shots is {shots}; give a whole number from 1 up"):
        few_shot(listing([9, 9], [2, 2], [1, 1]), shots, 0)


def test_more_shots_than_a_class_has_names_it_and_the_most_possible():
    said = "'class 1' has 3 training images, fewer than 5 shots; give at most --shots 3, or add images"
    with pytest.raises(InputError, match=said):
        few_shot(listing([9, 3], [2, 2], [1, 1]), 5, 0)


def test_few_shots_need_the_validation_part():
    with pytest.raises(ValueError, match="complete"):
        few_shot(listing([9, 9]), 1, 0)
