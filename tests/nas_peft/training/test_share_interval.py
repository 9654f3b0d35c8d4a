"""Intervals of shares."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas_peft.training.share_interval import share_interval


@given(images=st.integers(1, 3000), share=st.floats(0, 1))
def test_the_interval_is_wilsons(images: int, share: float):
    """Its ends solve |p - right / images| = z √(p (1 - p) / images)."""
    right = round(share * images)
    z = 1.959963984540054
    for end in share_interval(right, images):
        assert 0 <= end <= 1
        assert (end - right / images) ** 2 == pytest.approx(z**2 * end * (1 - end) / images, abs=1e-9)


def test_few_images_are_never_sure():
    assert share_interval(12, 12) == pytest.approx((0.757, 1), abs=1e-3)
    assert all(map(math.isnan, share_interval(0, 0)))
