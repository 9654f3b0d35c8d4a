"""Images that show next to nothing are found by the range of their values."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from nas_peft.data.blank_images import BLANK_RANGE, are_blank, blank_warning


@given(low=st.integers(0, 255), width=st.integers(0, 255), seed=st.integers(0, 2**32 - 1))
def test_an_image_is_blank_if_its_values_are_close_together(low: int, width: int, seed: int):
    """Wherever they lie, in whatever pixels and channels, and beside whatever other images."""
    high = min(255, low + width)
    draws = torch.Generator().manual_seed(seed)
    image = torch.randint(low, high + 1, (3, 5, 4), generator=draws).to(torch.uint8)
    place = torch.randperm(60, generator=draws)[:2]
    image.view(-1)[place] = torch.tensor([low, high], dtype=torch.uint8)
    other = torch.tensor([0, 255], dtype=torch.uint8).repeat(30).view(3, 5, 4)
    assert are_blank(torch.stack([image, other])).tolist() == [high - low <= BLANK_RANGE, False]


def test_the_warning_names_one_and_the_remedy():
    said = blank_warning(2, 7, "'a.png'", ", alas")
    assert said.startswith(
        "2 of 7 images have almost a single colour (such as 'a.png'), alas; if their files"
    )
    assert said.endswith("scale them to the full range first")
