"""Inputs shared by all separate trainings of a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray
from torch import Tensor

from nas_peft.data import Part
from nas_peft.data.part import read_only_tensor
from supernet import Backbone, Preprocessing


@dataclass(frozen=True)
class TrainingInputs:
    """Backbone and data of all separate trainings of a run, sent once to each worker.

    ``features`` ``(N, d)`` are the pretrained features of train, then val; linear probes need nothing else.
    """

    backbone: Backbone
    preprocessing: Preprocessing
    classes: int
    train: Part
    val: Part
    features: Tensor

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the features as a numpy array, shared between processes like a `Part`."""
        kept = (self.backbone, self.preprocessing, self.classes, self.train, self.val)
        return _with_array, (kept, self.features.numpy())


def _with_array(
    kept: tuple[Backbone, Preprocessing, int, Part, Part], features: NDArray[Any]
) -> TrainingInputs:
    backbone, preprocessing, classes, train, val = kept
    return TrainingInputs(backbone, preprocessing, classes, train, val, read_only_tensor(features))
