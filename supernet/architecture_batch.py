"""One architecture for each image of a batch, as a tensor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from search_spaces import KINDS, Architecture
from supernet.transfers import to_device


@dataclass(frozen=True)
class ArchitectureBatch:
    """``sizes[b, i, k]`` is the size of kind ``kinds[k]`` in layer i for image b: int64 ``(B, L, K)``."""

    kinds: tuple[str, ...]
    sizes: Tensor

    @classmethod
    def of(cls, architectures: Sequence[Architecture], kinds: Sequence[str]) -> ArchitectureBatch:
        """Stack ``architectures``; ``ValueError`` unless all have one depth and only kinds in ``kinds``."""
        depths = {a.depth for a in architectures}
        if len(depths) != 1:
            raise ValueError(f"the architectures of a batch need one depth, not {sorted(depths) or 'none'}")
        if unknown := {kind for a in architectures for kind in a.kinds}.difference(kinds):
            raise ValueError(f"{', '.join(sorted(unknown))} is not among the batch's kinds {tuple(kinds)}")
        table = np.array([[a[kind] for kind in kinds] for a in architectures], dtype=np.int64)
        by_kind = torch.from_numpy(table.reshape(len(architectures), len(kinds), depths.pop()))
        return cls(tuple(kinds), by_kind.transpose(1, 2).contiguous())

    def __len__(self) -> int:
        return len(self.sizes)

    def to(self, device: torch.device) -> ArchitectureBatch:
        """The same batch on ``device``; the host does not wait for a GPU."""
        return ArchitectureBatch(self.kinds, to_device(self.sizes, device))

    def take(self, indices: Tensor) -> ArchitectureBatch:
        """The rows of ``indices`` ``(B',)``."""
        return ArchitectureBatch(self.kinds, self.sizes[indices])

    def layer(self, index: int) -> dict[str, Tensor]:
        """Sizes ``(B,)`` of the modules that act in one layer, by kind; see `Architecture.acting_in`."""
        return {kind: self.sizes[:, KINDS[kind].held_in(index), k] for k, kind in enumerate(self.kinds)}
