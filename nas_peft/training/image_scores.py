"""The score of each validation image, which a training leaves beside its record."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import load
from torch import Tensor

from nas_peft.training.temperature import cross_entropy, cross_fitted_losses
from supernet import checked_bytes, checked_tensors


@dataclass(frozen=True)
class ImageScores:
    """Logits of a network on the validation images, with their labels, as safetensors bytes.

    The bytes are the content of the file in the run folder (``logits`` (N, C) in float32 and ``labels`` (N,))
    and travel with the record from worker processes. Scores are equal if they are so to the last bit.
    """

    data: bytes = field(repr=False)

    @classmethod
    def of(cls, logits: Tensor, labels: Tensor) -> ImageScores:
        """The scores of ``logits (N, C)`` for ``labels (N,)``."""
        return cls(
            checked_bytes({"logits": logits.to(torch.float32).contiguous(), "labels": labels.contiguous()})
        )

    @classmethod
    def read(cls, file: Path) -> ImageScores:
        """The scores in a file of a run folder. Raises `InputError` for a damaged one."""
        checked_tensors(file)
        return cls(file.read_bytes())

    @cached_property
    def logits(self) -> NDArray[np.float64]:
        """Logits ``(N, C)``."""
        return load(self.data)["logits"].astype(np.float64)

    @cached_property
    def labels(self) -> NDArray[np.int64]:
        """Labels ``(N,)``."""
        labels: NDArray[np.int64] = load(self.data)["labels"]
        return labels

    @cached_property
    def hits(self) -> NDArray[np.bool_]:
        """Whether the predicted class of each image is right, ``(N,)``."""
        return np.asarray(self.logits.argmax(axis=1) == self.labels)

    @cached_property
    def losses(self) -> NDArray[np.float64]:
        """Cross-entropy of each image, ``(N,)``."""
        return cross_entropy(self.logits, self.labels)

    @cached_property
    def calibrated_losses(self) -> NDArray[np.float64]:
        """Cross-entropy of each image after temperature scaling fitted on other images, ``(N,)``."""
        return cross_fitted_losses(self.logits, self.labels)

    def __getstate__(self) -> dict[str, bytes]:
        """The bytes alone, not what was computed from them."""
        return {"data": self.data}
