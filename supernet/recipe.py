"""The recipe of a training."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

from search_spaces import InputError
from supernet.augmentation import AugmentationName, require_augmentation

StartName: TypeAlias = Literal["pretrained", "inherited"]
"""Weights that a training starts from: the pretrained ones with new modules, or a supernet's."""

STARTS: tuple[StartName, ...] = ("pretrained", "inherited")


@dataclass(frozen=True)
class Recipe:
    """Recipe of a training: AdamW, linear warm-up, cosine decay to zero, cross-entropy.

    ``lr`` is the peak learning rate; ``warmup`` is the fraction of all steps before the peak;
    ``augmentation`` names how training images are changed (`Augmenter`); ``label_smoothing`` is the
    share of the target that is spread evenly over all classes. ``start`` says which weights the caller gives
    the network; `train` continues from whatever they are. ``l2_sp`` is α of `ModulePull`, by which modules
    are held near the pretrained function.

    Raises `InputError` for an unknown augmentation or start, for a label smoothing outside [0, 1), and for a
    negative ``l2_sp``.
    """

    epochs: int
    lr: float
    weight_decay: float = 1e-4
    batch_size: int = 64
    warmup: float = 0.1
    augmentation: AugmentationName = "none"
    label_smoothing: float = 0.0
    start: StartName = "pretrained"
    l2_sp: float = 0.0

    def __post_init__(self) -> None:
        require_augmentation(self.augmentation)
        if not 0 <= self.label_smoothing < 1:
            raise InputError(f"label_smoothing is {self.label_smoothing}; give 0 for none, or less than 1")
        if self.l2_sp < 0:
            raise InputError(f"l2_sp is {self.l2_sp}; give 0 for none, or more")
        if self.start not in STARTS:
            raise InputError(f"start is '{self.start}'; give one of {', '.join(STARTS)}")

    def to_dict(self) -> dict[str, Any]:
        """All fields, JSON-able."""
        return asdict(self)

    def lr_at(self, step: int, total: int) -> float:
        """The learning rate at ``step`` (from 0) of ``total`` steps."""
        rising = max(1, round(self.warmup * total))
        if step < rising:
            return self.lr * (step + 1) / rising
        return self.lr * 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, total - rising)))
