"""Sizes of the pictures of a data set, noted while they are read."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

from nas_peft.data.listing import ToTensor

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

_MUCH = 2


class PictureSizes:
    """A preprocessing that notes the height and width of each picture before it shrinks them.

    It may be called on several threads.
    """

    def __init__(self, to_tensor: ToTensor) -> None:
        self._to_tensor = to_tensor
        self._sides: list[tuple[int, int]] = []

    def to_tensor(self, image: Image.Image) -> Tensor:
        """The tensor of ``image`` by the preprocessing."""
        self._sides.append((image.height, image.width))
        return self._to_tensor(image)

    def shrunk(self, height: int, width: int) -> str | None:
        """The usual size, as ``HEIGHTxWIDTH``, of pictures much larger than ``height`` and ``width``.

        ``None`` if they are not: the median of a side is then less than twice as long.
        """
        if not self._sides:
            return None
        usual = [round(statistics.median(sides)) for sides in zip(*self._sides, strict=True)]
        if min(usual[0] / height, usual[1] / width) < _MUCH:
            return None
        return f"{usual[0]}x{usual[1]}"
