"""Losses and hits of a subnet, image by image."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from search_spaces import Architecture
from supernet.execution import Precision, autocast
from supernet.preprocessing import Preprocessing
from supernet.supernet import Supernet


@dataclass(frozen=True)
class Evaluation:
    """For each of N images the cross-entropy ``losses (N,)`` and whether the class is right ``hits (N,)``."""

    losses: Tensor
    hits: Tensor

    @property
    def loss(self) -> float:
        """Mean cross-entropy."""
        return float(self.losses.mean())

    @property
    def accuracy(self) -> float:
        """Fraction classified correctly."""
        return float(self.hits.float().mean())

    @property
    def loss_standard_error(self) -> float:
        """Standard error of the mean loss over images; 0 for one image."""
        return float(self.losses.std() / len(self.losses) ** 0.5) if len(self.losses) > 1 else 0.0


@torch.inference_mode()
def evaluate(
    supernet: Supernet,
    images: Tensor,
    labels: Tensor,
    *,
    preprocessing: Preprocessing,
    architecture: Architecture | None = None,
    batch_size: int = 256,
    precision: Precision = "fp32",
) -> Evaluation:
    """Run one subnet over uint8 ``images (N, 3, H, W)`` with int64 ``labels (N,)``; results on the CPU.

    With ``precision="bf16"`` under autocast; the losses are computed in float32 all the same.
    """
    device = supernet.head.weight.device
    losses, hits = [], []
    for start in range(0, len(labels), batch_size):
        x = images[start : start + batch_size].to(device)
        y = labels[start : start + batch_size].to(device)
        with autocast(device, precision):
            logits = supernet(preprocessing.normalise(x), architecture)
        logits = logits.float()
        losses.append(F.cross_entropy(logits, y, reduction="none").cpu())
        hits.append((logits.argmax(-1) == y).cpu())
    return Evaluation(torch.cat(losses), torch.cat(hits))
