"""The targets of a batch of training images: labels, and those of images mixed in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from supernet.transfers import to_device


@dataclass(frozen=True)
class Targets:
    """Labels ``(N,)`` of a batch; mixed images also have the labels of ``others``.

    ``shares (N,)`` is the share of an image's own label, 1 where it is not mixed.
    """

    labels: Tensor
    others: Tensor | None = None
    shares: Tensor | None = None

    def on(self, device: torch.device) -> Targets:
        """The targets on ``device``."""
        tables = (self.labels, self.others, self.shares)
        labels, others, shares = (None if t is None else to_device(t, device) for t in tables)
        assert labels is not None
        return Targets(labels, others, shares)

    @classmethod
    def join(cls, parts: Sequence[Targets]) -> Targets:
        """The targets of several batches, one after another."""
        labels = torch.cat([part.labels for part in parts])
        if all(part.others is None for part in parts):
            return cls(labels)
        others = torch.cat([part.labels if part.others is None else part.others for part in parts])
        shares = torch.cat(
            [torch.ones(len(p.labels), device=labels.device) if p.shares is None else p.shares for p in parts]
        )
        return cls(labels, others, shares)

    def part(self, rows: slice) -> Targets:
        """The targets of some of the images."""
        others = None if self.others is None else self.others[rows]
        return Targets(self.labels[rows], others, None if self.shares is None else self.shares[rows])
