"""What trainings start from that do not begin with new modules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from torch import Tensor

Starts: TypeAlias = Mapping[str, Mapping[str, Tensor]]
"""The tensors of modules and head by the name of a training."""


@dataclass(frozen=True)
class InheritedStarts:
    """The tensors of modules and head from which trainings start whose recipes say so, by their names.

    Those of a searched subnet come from the supernet, those of pruned LoRA from the training before the
    pruning. ``train_val`` are for trainings on training and validation set; one that is missing there starts
    from those in ``train``, like trainings on the training set. ``without`` are for trainings that leave out
    a domain, by domain, in place of ``train``.
    """

    train: Starts = field(default_factory=dict)
    train_val: Starts = field(default_factory=dict)
    without: Mapping[str, Starts] = field(default_factory=dict)

    def of(self, name: str, on: str) -> Mapping[str, Tensor] | None:
        """What a training ``on`` the images of that name starts from; ``None`` if there is nothing."""
        own = self.train_val.get(name) if on == "train_val" else None
        return self.train.get(name) if own is None else own

    def of_domain(self, left_out: str) -> InheritedStarts:
        """Those of trainings that leave out a domain; what has nothing of its own there stays as it is."""
        return InheritedStarts({**self.train, **self.without.get(left_out, {})})

    def beside(self, others: Starts) -> InheritedStarts:
        """These, and others of the training set."""
        return replace(self, train={**self.train, **others})
