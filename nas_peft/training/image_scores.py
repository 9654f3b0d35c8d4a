"""The score of each validation image, which a training leaves beside its record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

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

    def with_left_out(self, others: Sequence[ImageScores]) -> ImageScores:
        """These scores, with those of ``others`` among the shifted, each on a domain that it left out."""
        found = [load(other.data) for other in others]
        return self._with_left_out(
            [scores["logits"] for scores in found],
            [scores["labels"] for scores in found],
            [len(scores["labels"]) for scores in found],
        )

    def with_left_out_of(self, other: ImageScores) -> ImageScores:
        """These scores, with the left-out domains of ``other`` if it has any.

        For an average of weights: no average is made without a domain, so it is judged there as its first
        training.
        """
        tensors = load(other.data)
        if "left_out" not in tensors:
            return self
        sizes = tensors["left_out"].tolist()
        logits, labels = (tensors[f"shifted_{name}"][-sum(sizes) :] for name in ("logits", "labels"))
        return self._with_left_out([logits], [labels], sizes)

    def _with_left_out(
        self, logits: Sequence[NDArray[Any]], labels: Sequence[NDArray[Any]], sizes: Sequence[int]
    ) -> ImageScores:
        tensors = load(self.data)
        tensors["shifted_logits"] = np.concatenate([tensors["shifted_logits"], *logits])
        tensors["shifted_labels"] = np.concatenate([tensors["shifted_labels"], *labels])
        tensors["left_out"] = np.array(sizes, np.int64)
        return ImageScores(checked_bytes({name: torch.from_numpy(value) for name, value in tensors.items()}))

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

    @property
    def shifted(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Logits ``(M, C)`` on the shifted images and their labels ``(M,)``; ``KeyError`` without any."""
        tensors = load(self.data)
        return tensors["shifted_logits"].astype(np.float64), tensors["shifted_labels"]

    @cached_property
    def shifted_loss(self) -> float | None:
        """Mean cross-entropy on the shifted images, at the temperature of the unchanged ones; or ``None``.

        The copies together are one shift and each left-out domain is one, however many images they have.
        """
        tensors = load(self.data)
        if "shifted_logits" not in tensors:
            return None
        logits = tensors["shifted_logits"].astype(np.float64)
        temperature = fit_temperature(self.logits, self.labels)
        return self._mean_of_shifts(cross_entropy(logits, tensors["shifted_labels"], temperature))

    @cached_property
    def shifted_accuracy(self) -> float | None:
        """Accuracy on the shifted images, as `shifted_loss`; ``None`` without any."""
        tensors = load(self.data)
        if "shifted_logits" not in tensors:
            return None
        hits = tensors["shifted_logits"].argmax(axis=1) == tensors["shifted_labels"]
        return self._mean_of_shifts(hits.astype(np.float64))

    def _mean_of_shifts(self, values: NDArray[np.float64]) -> float:
        sizes = load(self.data).get("left_out", np.zeros(0, np.int64))
        ends = np.cumsum([len(values) - sizes.sum(), *sizes])[:-1]
        return float(np.mean([part.mean() for part in np.split(values, ends)]))

    @cached_property
    def margin(self) -> float:
        """The most by which the loss may be above the lowest one, for the sake of shifted images."""
        return float(load(self.data)["shifted_margin"][0])

    def __getstate__(self) -> dict[str, bytes]:
        """The bytes alone, not what was computed from them."""
        return {"data": self.data}
