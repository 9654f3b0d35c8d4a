"""Images that show next to nothing."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from nas_peft.data.blank_images import BLANK_RANGE, blank


@given(low=st.integers(0, 255), width=st.integers(0, 255), channel=st.integers(0, 2))
def test_an_image_is_blank_by_the_range_of_all_its_values(low: int, width: int, channel: int):
    high = min(255, low + width)
    images = torch.full((2, 3, 4, 5), low, dtype=torch.uint8)
    images[1, channel, 2, 3] = high
    assert blank(images).tolist() == [True, high - low <= BLANK_RANGE]
