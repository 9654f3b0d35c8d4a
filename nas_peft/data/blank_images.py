"""Images that show next to nothing, such as pictures of 12 bits in files of 16."""

from __future__ import annotations

from torch import Tensor

BLANK_RANGE = 18
"""Largest range of pixel values in an image that shows next to nothing.

12 of 16 bits are 0 to 15 of 255, and resizing by bicubic interpolation overshoots a little.
"""


def are_blank(images: Tensor) -> Tensor:
    """Whether each of ``images`` (N, 3, H, W), from 0 to 255, has almost a single colour; (N,) of bool."""
    values = images.flatten(1)
    return (values.amax(1).int() - values.amin(1).int()) <= BLANK_RANGE


def blank_warning(count: int, total: int, example: str, so: str = "") -> str:
    """A sentence on ``count`` such images among ``total``; ``so`` says what follows for their answers."""
    return (
        f"{count} of {total} images have almost a single colour (such as {example}){so}; "
        "if their files hold more than 8 bits, scale them to the full range first"
    )


BLANK_ANSWER = (
    "the image has almost a single colour, and the answer means little; if its file holds more than 8 bits, "
    "scale it to the full range first"
)
"""The same of a single image that is classified."""

ANSWERS_MEAN_LITTLE = ", and their answers mean little"
"""What follows where images are classified."""
