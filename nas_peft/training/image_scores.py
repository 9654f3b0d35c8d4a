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

from nas_peft.training.temperature import cross_entropy, cross_fitted_losses, fit_temperature
from supernet import checked_bytes, checked_tensors


@dataclass(frozen=True)
class ShiftedScores:
    """Logits ``(M, C)`` on shifted images with their labels ``(M,)``, and the margin of the choice."""

    logits: Tensor
    labels: Tensor
    margin: float


@dataclass(frozen=True)
class ImageScores:
    """Logits of a network on the validation images, with their labels, as safetensors bytes.

    The bytes are the content of the file in the run folder (``logits`` (N, C) in float32 and ``labels`` (N,),
    and the same of shifted images where trainings are chosen for them)
    and travel with the record from worker processes. Scores are equal if they are so to the last bit.
    """

    data: bytes = field(repr=False)

    @classmethod
    def of(cls, logits: Tensor, labels: Tensor, shifted: ShiftedScores | None = None) -> ImageScores:
        """The scores of ``logits (N, C)`` for ``labels (N,)``, and of shifted images if there are any."""
        tensors = {"logits": logits.to(torch.float32).contiguous(), "labels": labels.contiguous()}
        if shifted is not None:
            tensors["shifted_logits"] = shifted.logits.to(torch.float32).contiguous()
            tensors["shifted_labels"] = shifted.labels.contiguous()
            tensors["shifted_margin"] = torch.tensor([shifted.margin], dtype=torch.float64)
        return cls(checked_bytes(tensors))

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

    @cached_property
    def shifted_loss(self) -> float | None:
        """Mean cross-entropy on the shifted images, at the temperature of the unchanged ones; or ``None``."""
        tensors = load(self.data)
        if "shifted_logits" not in tensors:
            return None
        logits = tensors["shifted_logits"].astype(np.float64)
        temperature = fit_temperature(self.logits, self.labels)
        return float(cross_entropy(logits, tensors["shifted_labels"], temperature).mean())

    @cached_property
    def shifted_accuracy(self) -> float | None:
        """Accuracy on the shifted images; ``None`` without any."""
        tensors = load(self.data)
        if "shifted_logits" not in tensors:
            return None
        return float((tensors["shifted_logits"].argmax(axis=1) == tensors["shifted_labels"]).mean())

    @cached_property
    def margin(self) -> float:
        """The most by which the loss may be above the lowest one, for the sake of shifted images."""
        return float(load(self.data)["shifted_margin"][0])

    def __getstate__(self) -> dict[str, bytes]:
        """The bytes alone, not what was computed from them."""
        return {"data": self.data}
