import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas_peft.data.splits import draw_per_class, draw_stratified, proportional_counts, too_few_images
from search_spaces.errors import InputError

counts_per_class = st.lists(st.integers(3, 40), min_size=1, max_size=12)
seeds = st.integers(0, 2**32)


def shuffled_labels(counts: list[int], seed: int) -> np.ndarray:
    return np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))


def draw(labels: np.ndarray, size: int, seed: int, **options) -> np.ndarray:
    classes = [f"c{label}" for label in range(int(labels.max()) + 1)]
    rng = np.random.default_rng(seed)
    return draw_stratified(labels, size, rng, classes=classes, parts=("train", "val", "test"), **options)


@given(counts_per_class, st.floats(0.05, 0.5))
def test_shares_are_within_one_of_the_exact_quota_and_never_nothing(counts, fraction):
    counts = np.array(counts)
    size = round(fraction * counts.sum())
    shares = proportional_counts(counts, size)
    exact = size * counts / counts.sum()
    assert (np.abs(shares - exact) <= 1).all()
    assert (shares >= 1).all()
    if (exact >= 1).all():
        assert shares.sum() == size


def test_shares_follow_the_largest_remainders_and_ties_the_lower_index():
    assert proportional_counts(np.array([10, 10, 10]), 4).tolist() == [2, 1, 1]
    assert proportional_counts(np.array([50, 25, 26]), 20).tolist() == [10, 5, 5]
    assert proportional_counts(np.array([17, 24, 9]), 10).tolist() == [3, 5, 2]


def test_a_class_without_images_gets_no_share():
    assert proportional_counts(np.array([0, 8, 2]), 5).tolist() == [0, 4, 1]


@given(counts_per_class, seeds, st.sampled_from([1, 2]))
def test_a_draw_is_stratified_disjoint_and_leaves_images_of_each_class(counts, seed, keep):
    labels = shuffled_labels(counts, seed)
    size = round(0.2 * len(labels))
    drawn = draw(labels, size, seed, keep=keep)
    assert len(set(drawn.tolist())) == len(drawn)
    assert drawn.tolist() == sorted(drawn.tolist())
    taken = np.bincount(labels[drawn], minlength=len(counts))
    assert (taken >= 1).all()
    assert (np.array(counts) - taken >= keep).all()
    assert (np.abs(taken - size * np.array(counts) / len(labels)) <= 1).all()


@given(counts_per_class, seeds)
def test_equal_seeds_draw_equally(counts, seed):
    labels = shuffled_labels(counts, 0)
    assert np.array_equal(draw(labels, len(labels) // 5, seed), draw(labels, len(labels) // 5, seed))


def test_seeds_draw_differently():
    labels = np.repeat([0, 1], 50)
    assert len({tuple(draw(labels, 20, seed).tolist()) for seed in range(10)}) == 10


def test_each_image_is_drawn_about_equally_often():
    labels = np.repeat([0, 1], 10)
    drawn = np.concatenate([draw(labels, 4, seed) for seed in range(1000)])
    frequencies = np.bincount(drawn, minlength=20) / 1000
    assert np.abs(frequencies - 0.2).max() < 0.06  # five standard deviations


@given(seeds)
def test_a_class_stays_in_each_group_where_it_occurs(seed):
    labels = np.repeat([0, 1], [4, 12])
    groups = np.array([0, 0, 1, 0] + [0] * 6 + [1] * 6)
    drawn = draw(labels, 10, seed, groups=groups)
    staying = np.setdiff1d(np.arange(16), drawn)
    assert {(int(labels[i]), int(groups[i])) for i in staying} == {(0, 0), (0, 1), (1, 0), (1, 1)}


@pytest.mark.parametrize(
    ("counts", "keep", "has", "needs"), [([5, 2], 2, 2, 3), ([1, 5], 1, 1, 2), ([5, 1], 2, 1, 3)]
)
def test_a_class_that_cannot_serve_all_parts_is_named(counts, keep, has, needs):
    name = f"c{int(np.argmin(counts))}"
    with pytest.raises(
        InputError, match=rf"'{name}' has {has} images?, {needs} are needed .*train, val and test"
    ):
        draw(shuffled_labels(counts, 0), 2, 0, keep=keep)


def test_a_class_that_would_leave_a_group_is_named():
    with pytest.raises(InputError, match="'c0' has 2 images, 3 are needed"):
        draw(np.array([0, 0, 1, 1, 1]), 2, 0, groups=np.array([0, 1, 0, 0, 0]))


def test_the_error_counts_in_english():
    assert str(too_few_images("cat", 1, 3, ("train", "val", "test"))) == (
        "class 'cat' has 1 image, 3 are needed (one each for train, val and test); "
        "add images of it or leave the class out"
    )
    assert "has 0 images, 1 is needed (for train)" in str(too_few_images("cat", 0, 1, ("train",)))


@given(st.lists(st.integers(1, 9), min_size=1, max_size=8), st.integers(1, 10), seeds)
def test_per_class_draws_the_number_or_all_there_are(counts, number, seed):
    labels = shuffled_labels(counts, seed)
    drawn = draw_per_class(labels, number, np.random.default_rng(seed))
    assert len(set(drawn.tolist())) == len(drawn)
    assert np.bincount(labels[drawn], minlength=len(counts)).tolist() == [min(c, number) for c in counts]
    assert np.array_equal(drawn, draw_per_class(labels, number, np.random.default_rng(seed)))
