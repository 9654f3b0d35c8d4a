"""Intervals of shares are Wilson's, also for few images and for shares of 0 and 1."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas_peft.training.share_interval import share_interval


@given(st.integers(1, 10_000), st.data())
def test_it_is_that_of_the_formula_and_symmetric(images: int, data: st.DataObject):
    count = data.draw(st.integers(0, images))
    low, high = share_interval(count, images)
    z, share = 1.959964, count / images
    half = z / (1 + z**2 / images) * math.sqrt(share * (1 - share) / images + (z / images) ** 2 / 4)
    middle = (share + z**2 / images / 2) / (1 + z**2 / images)
    assert (low, high) == pytest.approx((max(0.0, middle - half), min(1.0, middle + half)), abs=1e-6)
    assert share_interval(images - count, images) == pytest.approx((1 - high, 1 - low), abs=1e-9)


def test_twelve_of_twelve_are_not_certain():
    low, high = share_interval(12, 12)
    assert (round(low, 3), high) == (0.758, 1)
    assert all(map(math.isnan, share_interval(0, 0)))
