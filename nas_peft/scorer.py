"""Losses of architectures on images that their supernet has not been trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from nas_peft.data import Part
from nas_peft.peak_memory import PeakMemory
from search_spaces import Architecture
from supernet import Precision, Preprocessing, Supernet, score, shared_passes


@dataclass(frozen=True)
class Found:
    """Of A architectures on n images: losses and hits ``(A, n)``, and the forward passes it took.

    ``peak_memory`` is that of the process that computed it, in bytes, see `nas_peft.peak_memory`.
    """

    losses: NDArray[np.float32]
    hits: NDArray[np.bool_]
    image_passes: float
    peak_memory: int | None = None


class Scorer(Protocol):
    """Scores architectures with inherited weights; the images are in folds of ``sizes`` images."""

    @property
    def sizes(self) -> Sequence[int]:
        """Images of each fold."""
        ...

    def score(self, fold: int, indices: NDArray[np.int64], architectures: Sequence[Architecture]) -> Found:
        """Score ``architectures`` on the images ``indices (n,)`` of a fold."""
        ...


@dataclass(frozen=True)
class Fold:
    """A supernet and images that it has not been trained on."""

    supernet: Supernet
    part: Part


@dataclass(frozen=True)
class LocalScorer:
    """Scores in this process, see `supernet.score`."""

    folds: Sequence[Fold]
    preprocessing: Preprocessing
    precision: Precision = "fp32"

    @property
    def sizes(self) -> Sequence[int]:
        """Images of each fold."""
        return [len(fold.part) for fold in self.folds]

    def score(self, fold: int, indices: NDArray[np.int64], architectures: Sequence[Architecture]) -> Found:
        """See `Scorer.score`."""
        of = self.folds[fold]
        memory = PeakMemory(of.supernet.head.weight.device.type)
        part = of.part.take(torch.from_numpy(indices))
        found = score(
            of.supernet,
            part.images,
            part.labels,
            architectures,
            preprocessing=self.preprocessing,
            precision=self.precision,
        )
        return Found(
            np.stack([evaluation.losses.numpy() for evaluation in found]),
            np.stack([evaluation.hits.numpy() for evaluation in found]),
            shared_passes(architectures) * len(indices),
            memory.bytes,
        )
