"""Evaluation of a subnet: loss and hit of each image."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from search_spaces import Architecture
from supernet.frozen_weights import cast_once
from supernet.images import Images
from supernet.precision import Precision, computing_in
from supernet.preprocessing import Preprocessing
from supernet.supernet import Supernet
from supernet.transfers import to_device


@dataclass(frozen=True)
class Evaluation:
    """Cross-entropy ``losses (N,)`` of N images, and ``hits (N,)``: whether the predicted class is right.

    ``logits (N, C)`` in float32 are there if they were asked for, ``labels (N,)`` and ``predicted (N,)``, the
    classes, if `evaluate` made this.
    """

    losses: Tensor
    hits: Tensor
    logits: Tensor | None = None
    labels: Tensor | None = None
    predicted: Tensor | None = None

    @property
    def loss(self) -> float:
        """Mean cross-entropy."""
        return float(self.losses.mean())

    @property
    def accuracy(self) -> float:
        """Fraction of images classified correctly."""
        return float(self.hits.float().mean())

    @property
    def balanced_accuracy(self) -> float:
        """Mean over the classes among the labels of the fraction of their images classified correctly."""
        if self.labels is None:
            raise ValueError("balanced accuracy needs the labels of the images")
        right, of = torch.bincount(self.labels, self.hits.double()), torch.bincount(self.labels)
        return float((right[of > 0] / of[of > 0]).mean())

    @property
    def loss_standard_error(self) -> float:
        """Standard error of the mean loss over images; 0 for one image."""
        return float(self.losses.std() / len(self.losses) ** 0.5) if len(self.losses) > 1 else 0.0


@torch.inference_mode()
def evaluate(
    supernet: Supernet,
    images: Images,
    labels: Tensor,
    *,
    preprocessing: Preprocessing,
    architecture: Architecture | None = None,
    batch_size: int = 256,
    precision: Precision = "fp32",
    keep_logits: bool = False,
) -> Evaluation:
    """Evaluate one subnet on uint8 ``images (N, 3, H, W)`` with int64 ``labels (N,)``; results on the CPU.

    Head, losses and logits are float32 in every precision; the logits are kept with ``keep_logits``, and take
    4·N·C bytes for C classes. The host waits for a GPU once, at the end.
    """
    device = supernet.head.weight.device
    normalise, of = preprocessing.on(device), to_device(labels, device)
    losses, classes, kept = [], [], []
    with computing_in(device, precision), cast_once(supernet.backbone, precision):
        for start in range(0, len(labels), batch_size):
            x, y = to_device(images[start : start + batch_size], device), of[start : start + batch_size]
            logits = supernet(normalise(x), architecture).float()
            losses.append(F.cross_entropy(logits, y, reduction="none"))
            classes.append(logits.argmax(-1))
            if keep_logits:
                kept.append(logits)
    predicted = torch.cat(classes)
    return Evaluation(
        torch.cat(losses).cpu(),
        (predicted == of).cpu(),
        torch.cat(kept).cpu() if keep_logits else None,
        of.cpu(),
        predicted.cpu(),
    )
