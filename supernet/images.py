"""Images that a training or an evaluation reads batch by batch."""

from __future__ import annotations

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
