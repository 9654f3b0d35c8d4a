"""Images by the numbers of their rows in a block that several parts and processes share."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import prod
from typing import Any, Protocol, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from supernet.images import Images, TwoSizes

Rows: TypeAlias = NDArray[np.int64]
Pixels: TypeAlias = NDArray[np.uint8]

_CHUNK = 256  # images in memory at once, where all are gone through


class Block(Protocol):
    """Images in a fixed order; equal blocks hold the same images."""

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """``(N, 3, H, W)``."""
        ...

    def read(self, rows: Rows) -> Pixels:
        """A copy of the images at ``rows (M,)``, each from 0 to N - 1: uint8 ``(M, 3, H, W)``."""
        ...


@dataclass(frozen=True, eq=False)
class ImageMemory:
    """A block in memory: ``pixels``, uint8 ``(N, 3, H, W)``, of which Ray keeps one copy on each machine."""

    pixels: Pixels

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """``(N, 3, H, W)``."""
        number, channels, height, width = self.pixels.shape
        return number, channels, height, width

    def read(self, rows: Rows) -> Pixels:
        """See `Block.read`."""
        return self.pixels[rows]


@dataclass(frozen=True, eq=False)
class ImageRows:
    """Rows of a block, which look like a tensor of images and are read when they are asked for.

    Selecting and joining rows copies numbers, not images.

    Attributes:
        block: images of this and other parts.
        rows: int64 ``(N,)``, places in the block.
    """

    block: Block
    rows: Rows
    device: torch.device = field(default=torch.device("cpu"), init=False)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def shape(self) -> torch.Size:
        """``(N, 3, H, W)``."""
        return torch.Size((len(self.rows), *self.block.shape[1:]))

    @property
    def nbytes(self) -> int:
        """Bytes of all images of these rows."""
        return prod(self.shape)

    def __getitem__(self, rows: Tensor | slice, /) -> Tensor:
        """The images at ``rows`` of these rows, in new memory."""
        return torch.from_numpy(self.block.read(self._chosen(rows)))

    def take(self, rows: Tensor | slice) -> ImageRows:
        """These of the rows, unread."""
        return ImageRows(self.block, self._chosen(rows))

    def _chosen(self, rows: Tensor | slice) -> Rows:
        return self.rows[rows if isinstance(rows, slice) else rows.cpu().numpy()]

    def __reduce__(self) -> tuple[Any, ...]:
        return ImageRows, (self.block, self.rows)


def taken(images: Images, rows: Tensor | slice) -> Images:
    """The images at ``rows``: rows of a block stay unread."""
    if isinstance(images, TwoSizes):
        return TwoSizes(taken(images.images, rows), taken(images.larger, rows))
    return images.take(rows) if isinstance(images, ImageRows) else images[rows]


def joined(images: list[Images]) -> Images:
    """All of ``images`` in one: rows of one block stay rows; others are copied into new memory."""
    two = [of for of in images if isinstance(of, TwoSizes)]
    if two and len(two) == len(images):
        return TwoSizes(joined([of.images for of in two]), joined([of.larger for of in two]))
    rows = [of for of in images if isinstance(of, ImageRows)]
    if rows and len(rows) == len(images) and all(of.block == rows[0].block for of in rows):
        return ImageRows(rows[0].block, np.concatenate([of.rows for of in rows]))
    return torch.cat([of[:] for of in images])


def blocks_of(images: Images) -> list[Block]:
    """The blocks that ``images`` are rows of, those of their larger copies among them."""
    if isinstance(images, TwoSizes):
        return [*blocks_of(images.images), *blocks_of(images.larger)]
    return [images.block] if isinstance(images, ImageRows) else []


def chunks(images: Images) -> Iterator[Tensor]:
    """The images in their order, a few hundred at a time."""
    for start in range(0, len(images), _CHUNK):
        yield images[start : start + _CHUNK]
