"""Inputs shared by all separate trainings of a run."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from nas_peft.corruptions.choosing import ShiftedValidation
from nas_peft.data import Part
from nas_peft.data.part import read_only_tensor
from nas_peft.run.inherited_starts import InheritedStarts
from supernet import Backbone, Preprocessing


@dataclass(frozen=True)
class TrainingInputs:
    """Backbone and data of all separate trainings of a run, sent once to each worker.

    ``features`` ``(N, d)`` are the pretrained features of train, then val; linear probes need nothing else.
    ``inherited`` is what trainings start from if their recipe says so. On ``shifted`` images, if there are
    any, each training is scored, too. ``domains`` has the indices of the training images of each domain that
    trainings leave out.
    """

    backbone: Backbone
    preprocessing: Preprocessing
    classes: int
    train: Part
    val: Part
    features: Tensor
    inherited: InheritedStarts = field(default_factory=InheritedStarts)
    shifted: ShiftedValidation | None = None
    domains: Mapping[str, Tensor] = field(default_factory=dict)

    def without(self, domain: str | None) -> TrainingInputs:
        """The inputs of a training that leaves out a domain, whose images are then its validation set.

        These inputs themselves for ``None``. What is not inherited from a supernet, as the ranks of pruned
        LoRA, stays as it is.
        """
        if domain is None:
            return self
        unseen = self.domains[domain]
        kept = torch.ones(len(self.train), dtype=torch.bool)
        kept[unseen] = False
        seen = kept.nonzero().flatten()
        rows = torch.cat([seen, unseen])
        return replace(
            self,
            train=self.train.take(seen),
            val=self.train.take(unseen),
            features=self.features[rows] if len(self.features) else self.features,
            inherited=self.inherited.of_domain(domain),
            shifted=None,
            domains={},
        )

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the features as a numpy array, shared between processes like a `Part`."""
        without = replace(self, features=torch.empty(0))
        fields = tuple(getattr(without, field.name) for field in dataclasses.fields(self))
        return _with_array, (fields, self.features.numpy())


def _with_array(fields: tuple[Any, ...], features: NDArray[Any]) -> TrainingInputs:
    return replace(TrainingInputs(*fields), features=read_only_tensor(features))
