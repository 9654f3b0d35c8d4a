"""What all separate trainings of a run share."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from nas_peft.data import Part
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
