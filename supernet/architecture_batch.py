"""One architecture for each image of a batch, as a tensor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from search_spaces import Architecture


@dataclass(frozen=True)
class ArchitectureBatch:
    """``sizes[b, layer, k]`` is the size of kind ``kinds[k]`` in that layer for image b: int64 ``(B, L, K)``."""

    kinds: tuple[str, ...]
    sizes: Tensor

    @classmethod
    def of(cls, architectures: Sequence[Architecture], kinds: Sequence[str]) -> ArchitectureBatch:
        """Stack ``architectures``, which must have one depth and no kinds outside ``kinds``."""
        table = np.array([[a[kind] for kind in kinds] for a in architectures], dtype=np.int64)
        return cls(tuple(kinds), torch.from_numpy(table).transpose(1, 2).contiguous())

    def __len__(self) -> int:
        return len(self.sizes)

    def to(self, device: torch.device) -> ArchitectureBatch:
        """The same on ``device``."""
        return ArchitectureBatch(self.kinds, self.sizes.to(device))

    def take(self, indices: Tensor) -> ArchitectureBatch:
        """The rows of ``indices`` ``(B',)``."""
        return ArchitectureBatch(self.kinds, self.sizes[indices])

    def layer(self, index: int) -> dict[str, Tensor]:
        """For each kind the sizes ``(B,)`` in one layer."""
        return {kind: self.sizes[:, index, k] for k, kind in enumerate(self.kinds)}
