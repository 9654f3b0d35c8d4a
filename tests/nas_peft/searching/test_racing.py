"""Who is behind is stopped, who may not be goes on."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas_peft.searching.racing import PairedTest, Rival, Runner, overtaken

laws = settings(derandomize=True, deadline=None, database=None, max_examples=40)


def losses(seed: int, mean: float, images: int = 40, noise: float = 0.2) -> np.ndarray:
    """Of one set of images: hard and easy ones for everybody, and some noise of one's own."""
    difficulty = np.random.default_rng(99).random(images) * 3
    own = np.random.default_rng(seed).normal(mean, noise, images)
    return (difficulty + own).astype(np.float32)


def test_a_dearer_one_that_is_clearly_worse_is_out_and_the_better_one_goes_on():
    better, worse = Runner((10,), losses(0, 0.0)), Runner((20,), losses(1, 1.0))
    assert overtaken({3: better, 7: worse}, [], PairedTest(0)) == {7: Rival(3)}
    assert overtaken({7: worse}, [better], PairedTest(0)) == {7: Rival(0, incumbent=True)}


def test_a_cheaper_one_goes_on_however_bad():
    better, worse = Runner((20,), losses(0, 0.0)), Runner((10,), losses(1, 5.0))
    assert overtaken({0: better, 1: worse}, [], PairedTest(0)) == {}


def test_the_faster_of_two_goes_on_beside_the_smaller_one():
    """A front may count milliseconds, and a budget parameters: neither may take the other's best."""
    fast_and_large, slow_and_small = Runner((1, 20), losses(0, 0.0)), Runner((2, 10), losses(1, 5.0))
    slow_and_large = Runner((2, 20), losses(2, 5.0))
    found = overtaken({0: fast_and_large, 1: slow_and_small, 2: slow_and_large}, [], PairedTest(0))
    assert found == {2: Rival(0)}


def test_paired_differences_decide_where_means_alone_could_not():
    """Images differ by far more than candidates do."""
    better, worse = losses(0, 0.0, noise=0.05), losses(1, 0.1, noise=0.05)
    assert worse.mean() - better.mean() < better.std() / 40**0.5  # within the error of one mean
    assert overtaken({0: Runner((1,), worse)}, [Runner((1,), better)], PairedTest(0)) == {
        0: Rival(0, incumbent=True)
    }


def test_equals_go_on():
    same = losses(0, 0.0)
    assert overtaken({0: Runner((1,), same), 1: Runner((1,), same)}, [], PairedTest(0)) == {}


@laws
@given(st.lists(st.tuples(st.integers(1, 5), st.floats(0, 2)), min_size=1, max_size=8), st.integers(0, 9))
def test_somebody_cheapest_always_goes_on_and_who_is_out_was_worse_and_no_cheaper(
    drawn: list[tuple[int, float]], seed: int
):
    runners = {i: Runner((cost,), losses(seed + i, mean)) for i, (cost, mean) in enumerate(drawn)}
    found = overtaken(runners, [], PairedTest(seed))
    least = min(runner.costs for runner in runners.values())
    assert any(i not in found and runner.costs == least for i, runner in runners.items())
    for i, rival in found.items():
        assert not rival.incumbent
        assert runners[rival.index].costs <= runners[i].costs
        assert runners[rival.index].losses.mean() < runners[i].losses.mean()
    assert overtaken(runners, [], PairedTest(seed)) == found


def test_of_two_equal_candidates_one_is_called_behind_as_rarely_as_it_says():
    """Under the null the chance is uniform: 5% of tests find one of them behind, give or take."""
    rng = np.random.default_rng(0)
    test = PairedTest(0)
    pairs = rng.exponential(1, (400, 2, 60)).astype(np.float32)
    rate = np.mean([test.chance(mine, theirs) < 0.05 for mine, theirs in pairs])
    assert rate == pytest.approx(0.05, abs=0.03)
