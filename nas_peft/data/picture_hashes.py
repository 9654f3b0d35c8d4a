"""Perceptual hashes of pictures at their own size, taken while they are decoded."""

from __future__ import annotations

import threading
from collections.abc import Callable, MutableSequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from nas_peft.data.listing import ToTensor

if TYPE_CHECKING:
    from torch import Tensor

_SIDE = 64  # most pixels of the grey copy
_BITS = 8  # frequencies of the hash in each direction
_LEAST_CONTRAST = 4.0  # standard deviation within a channel; below it, all images look alike

Bits = NDArray[np.bool_]
Grey = NDArray[np.uint8]


@dataclass(frozen=True)
class PictureHash:
    """Perceptual hash (pHash, 64 bits) of a picture, and a grey copy ``(S, S)`` of at most 64 pixels.

    There is no copy where the backbone sees as many pixels itself.
    """

    bits: Bits
    grey: Grey | None

    def detail(self, other: PictureHash) -> float:
        """Correlation of the grey copies, at the size of the smaller one; 1 where one has none."""
        if self.grey is None or other.grey is None:
            return 1.0
        side = min(len(self.grey), len(other.grey))
        one, two = (_resized(grey, side).astype(np.float64).flatten() for grey in (self.grey, other.grey))
        return float(np.corrcoef(one, two)[0, 1])


def picture_hash(image: Image.Image, seen: int = 0) -> PictureHash | None:
    """The hash of an RGB image, or ``None`` if it has almost a single colour.

    ``seen`` is the shorter side of what the backbone sees of the image, in pixels.
    """
    side = min(_SIDE, *image.size)
    small = image.resize((side, side), Image.Resampling.LANCZOS, reducing_gap=3.0)
    if np.asarray(small, dtype=np.float32).std((0, 1)).max() < _LEAST_CONTRAST:
        return None
    grey = small.convert("L")
    bits = imagehash.phash(grey, hash_size=_BITS).hash.flatten()
    return PictureHash(bits, np.asarray(grey) if side > seen else None)


def _resized(grey: Grey, side: int) -> Grey:
    if len(grey) == side:
        return grey
    return np.asarray(Image.fromarray(grey).resize((side, side), Image.Resampling.LANCZOS))


class PictureHashes:
    """Hashes each picture on its way to the backbone's preprocessing, which leaves little of its detail.

    Args:
        to_tensor: the preprocessing; give `to_tensor` of this object to the source instead.
    """

    def __init__(self, to_tensor: ToTensor) -> None:
        self._to_tensor = to_tensor
        self._last = threading.local()

    def to_tensor(self, image: Image.Image) -> Tensor:
        """Hash the picture, and preprocess it."""
        tensor = self._to_tensor(image)
        self._last.found = [picture_hash(image, min(tensor.shape[1:]))]
        return tensor

    def noting(
        self, load: Callable[[], Tensor], place: MutableSequence[PictureHash | None], index: int
    ) -> Callable[[], Tensor]:
        """A ``load`` that also puts the picture's hash at ``index`` of ``place``.

        A source that keeps preprocessed images only, such as a stream, is hashed at the backbone's size.
        """

        def noted() -> Tensor:
            self._last.found = []
            tensor = load()
            if not self._last.found:
                pixels = np.ascontiguousarray(tensor.permute(1, 2, 0).numpy())
                self._last.found = [picture_hash(Image.fromarray(pixels), min(tensor.shape[1:]))]
            place[index] = self._last.found[0]
            return tensor

        return noted
