"""The recipe of a training."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Recipe:
    """Recipe of a training: AdamW, linear warm-up, cosine decay to zero, cross-entropy, no augmentation.

    ``lr`` is the peak learning rate; ``warmup`` is the fraction of all steps before the peak.
    """

    epochs: int
    lr: float
    weight_decay: float = 1e-4
    batch_size: int = 64
    warmup: float = 0.1

    def to_dict(self) -> dict[str, Any]:
        """All fields, JSON-able."""
        return asdict(self)

    def lr_at(self, step: int, total: int) -> float:
        """The learning rate at ``step`` (from 0) of ``total`` steps."""
        rising = max(1, round(self.warmup * total))
        if step < rising:
            return self.lr * (step + 1) / rising
        return self.lr * 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, total - rising)))
