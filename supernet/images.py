"""Images that a training or an evaluation reads batch by batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


class Images(Protocol):
    """uint8 images ``(N, 3, H, W)`` of which only the rows that are asked for need to be in memory.

    A tensor is one; a data set in a file is another. Nothing here reads all rows at once, unless they fit on
    the GPU that computes (`supernet.transfers.resident`).
    """

    @property
    def shape(self) -> torch.Size:
        """``(N, 3, H, W)``."""
        ...

    @property
    def device(self) -> torch.device:
        """The device on which rows arrive, and on which their numbers are expected."""
        ...

    @property
    def nbytes(self) -> int:
        """The size of all images in bytes."""
        ...

    def __len__(self) -> int:
        """N."""
        ...

    def __getitem__(self, rows: Tensor | slice, /) -> Tensor:
        """The images at ``rows``, integers ``(M,)`` or a slice: uint8 ``(M, 3, H, W)``."""
        ...


def without_larger(images: Images) -> Images:
    """``images`` as they are, or those of `TwoSizes` without their larger copies."""
    return images.images if isinstance(images, TwoSizes) else images


@dataclass(frozen=True, eq=False)
class TwoSizes:
    """Images, and the same pictures with more pixels, of which crops are cut.

    A crop of the images themselves has to be enlarged, and is more blurred than any image that the network
    sees later. This is `Images`: the rows that are read are those of ``images``.

    Args:
        images: uint8 ``(N, 3, H, W)``, what networks see without augmentation.
        larger: uint8 ``(N, 3, H', W')`` on the same device, which show the same part of each picture.

    Raises ``ValueError`` if their numbers or devices differ.
    """

    images: Images
    larger: Images

    def __post_init__(self) -> None:
        if len(self.images) != len(self.larger):
            raise ValueError(f"there are {len(self.images)} images and {len(self.larger)} larger ones")
        if self.images.device != self.larger.device:
            raise ValueError(f"images are on {self.images.device}, larger ones on {self.larger.device}")

    @property
    def shape(self) -> torch.Size:
        """See `Images.shape`."""
        return self.images.shape

    @property
    def device(self) -> torch.device:
        """See `Images.device`."""
        return self.images.device

    @property
    def nbytes(self) -> int:
        """The size of both in bytes."""
        return self.images.nbytes + self.larger.nbytes

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, rows: Tensor | slice, /) -> Tensor:
        """See `Images.__getitem__`."""
        return self.images[rows]
