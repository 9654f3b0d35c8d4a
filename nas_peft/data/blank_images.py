"""Images of almost a single colour, such as pictures of 12 bits in files of 16."""

from __future__ import annotations

from torch import Tensor

BLANK_RANGE = 18
"""Largest range of pixel values in an image that shows next to nothing.

12 of 16 bits are 0 to 15 of 255, and resizing by bicubic interpolation overshoots a little.
"""


def blank(images: Tensor) -> Tensor:
    """Whether each of uint8 ``images (N, 3, H, W)`` shows next to nothing: bool ``(N,)``."""
    values = images.flatten(1)
    return (values.amax(1).int() - values.amin(1).int()) <= BLANK_RANGE
