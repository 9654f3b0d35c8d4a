"""What all separate trainings of a run share."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from torch import Tensor

from nas_peft.data import Part
from nas_peft.data.part import read_only_tensor
from supernet import Backbone, Preprocessing


@dataclass(frozen=True)
class TrainingInputs:
    """Backbone and data of all separate trainings of a run, sent once to each worker.

    ``features`` are the pretrained features of train, then val, ``(N, d)``: linear probes need nothing else.
    """

    backbone: Backbone
    preprocessing: Preprocessing
    classes: int
    train: Part
    val: Part
    features: Tensor

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the features as a numpy array, which processes share as they share a `Part`."""
        values = [getattr(self, field.name) for field in fields(self)]
        return _from_values, (*values[:-1], self.features.numpy())


def _from_values(*values: Any) -> TrainingInputs:
    return TrainingInputs(*values[:-1], read_only_tensor(values[-1]))
