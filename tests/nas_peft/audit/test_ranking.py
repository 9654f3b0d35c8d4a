"""Rank statistics against values computed by hand, and against SciPy one resample at a time."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from scipy.stats import kendalltau

from nas_peft.audit.ranking import bootstrap_interval, bootstrap_taus, kendall_tau, seed_ceiling
from search_spaces.streams import stream


def test_tau_without_ties_by_hand() -> None:
    # of the 6 pairs of 4 architectures one is in the opposite order
    assert kendall_tau([1, 2, 3, 4], [10, 30, 20, 40]) == pytest.approx((5 - 1) / 6)
    assert kendall_tau([1, 2, 3], [5, 6, 9]) == pytest.approx(1)
    assert kendall_tau([1, 2, 3], [9, 6, 5]) == pytest.approx(-1)


def test_tau_b_with_ties_by_hand() -> None:
    # pairs: (1,2) tied in x; (1,3) and (2,3) agree; so 2 of sqrt(2 untied in x times 3 untied in y)
    assert kendall_tau([0.9, 0.9, 0.95], [1, 2, 3]) == pytest.approx(2 / math.sqrt(2 * 3))


def test_tau_of_a_constant_is_no_number() -> None:
    assert math.isnan(kendall_tau([1, 1, 1], [1, 2, 3]))


def test_only_pairs_have_a_tau() -> None:
    for x, y in (([1, 2], [1, 2, 3]), ([1], [1]), ([[1, 2]], [[1, 2]])):
        with pytest.raises(ValueError, match="two scores"):
            kendall_tau(x, y)


def test_bootstrap_is_scipys_tau_of_each_resample() -> None:
    rng = np.random.default_rng(0)
    x = rng.integers(0, 6, 15).astype(float)  # with ties
    y = x + rng.integers(0, 6, 15)
    taus = bootstrap_taus(x, y, seed=3, resamples=50)
    times = stream(3, "bootstrap", 15).multinomial(15, np.full(15, 1 / 15), size=50)
    for tau, counts in zip(taus, times, strict=True):
        drawn = np.repeat(np.arange(15), counts)
        assert tau == pytest.approx(kendalltau(x[drawn], y[drawn]).statistic)


def test_bootstrap_draws_the_same_pairs_for_every_score() -> None:
    x = np.arange(12.0)
    y = np.random.default_rng(1).permutation(12)
    one, other = (bootstrap_taus(s, y, seed=0) for s in (x, 100 * x - 3))
    assert np.array_equal(one, other)
    assert not np.array_equal(one, bootstrap_taus(x, y, seed=1))
    assert np.array_equal(bootstrap_taus(-x, y, seed=0), -one)


def test_resamples_without_an_order_are_left_out() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        taus = bootstrap_taus([1, 2], [1, 2], seed=0, resamples=100)
    assert set(taus[~np.isnan(taus)]) == {1.0}
    assert 20 < np.isnan(taus).sum() < 80  # the same pair twice: half of them
    assert bootstrap_interval(taus) == (1.0, 1.0)
    assert all(math.isnan(end) for end in bootstrap_interval([math.nan]))


def test_interval_is_the_middle() -> None:
    low, high = bootstrap_interval(np.arange(1001) / 1000)
    assert (low, high) == pytest.approx((0.025, 0.975))
    assert bootstrap_interval(np.arange(1001) / 1000, level=0.5) == pytest.approx((0.25, 0.75))


def test_interval_covers_the_tau_it_is_of() -> None:
    rng = np.random.default_rng(2)
    x = rng.normal(size=36)
    y = x + rng.normal(size=36)
    low, high = bootstrap_interval(bootstrap_taus(x, y, seed=0))
    assert low < kendall_tau(x, y) < high
    assert 0.1 < high - low < 0.6


def test_ceiling_is_the_mean_over_pairs_of_seeds() -> None:
    seeds = [[1, 2, 3], [1, 2, 3], [3, 2, 1]]
    assert seed_ceiling(seeds) == pytest.approx((1 - 1 - 1) / 3)
    assert math.isnan(seed_ceiling(seeds[:1]))
    with pytest.raises(ValueError, match="seeds, architectures"):
        seed_ceiling([1, 2, 3])
