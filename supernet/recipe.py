"""The recipe of a training."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

from search_spaces import InputError
from supernet.augmentation import AugmentationName, require_augmentation
from supernet.class_balance import ClassBalanceName, require_class_balance

StartName: TypeAlias = Literal["pretrained", "inherited"]
"""Weights that a training starts from: the pretrained ones with new modules, or those of another training.

The other training is that of a supernet, or of modules that were pruned since.
"""

STARTS: tuple[StartName, ...] = ("pretrained", "inherited")


@dataclass(frozen=True)
class Recipe:
    """Recipe of a training: AdamW, linear warm-up, cosine decay to zero, cross-entropy.

    ``lr`` is the peak learning rate; ``warmup`` is the fraction of all steps before the peak;
    ``augmentation`` names how training images are changed (`Augmenter`); ``label_smoothing`` is the
    share of the target that is spread evenly over all classes. ``class_balance`` says what is done about
    classes of unequal size: nothing (``none``), a loss weighted by the inverse size (``weighted``), batches
    drawn with every class equally likely (``sampled``), logits shifted by the class shares in training
    (``logit-adjusted``, arXiv 2007.07314), see `TrainingLoss`, or a head that is trained again after the
    training, which is as with ``none`` (``head-retrained``, arXiv 1910.09217). ``drop_path`` and
    ``module_dropout`` are the probabilities that a branch of the last layer, or the changes of a layer's
    modules, are left out for an image (`DepthDropout`). ``module_scale`` is the fixed factor of the output
    projections of modules, as LoRA's α and the s of AdaptFormer (`Learner`). ``start`` says which weights the
    caller gives the network; `train` continues from whatever they are. ``l2_sp`` is α of `ModulePull`, by
    which modules are held near the pretrained function.

    Raises `InputError` for an unknown augmentation, class balance or start, for a label smoothing, drop path
    or module dropout outside [0, 1), for a module scale that is not a positive number, and for a negative
    ``l2_sp``.
    """

    epochs: int
    lr: float
    weight_decay: float = 1e-4
    batch_size: int = 64
    warmup: float = 0.1
    augmentation: AugmentationName = "none"
    label_smoothing: float = 0.0
    class_balance: ClassBalanceName = "none"
    drop_path: float = 0.0
    module_dropout: float = 0.0
    module_scale: float = 1.0
    start: StartName = "pretrained"
    l2_sp: float = 0.0

    def __post_init__(self) -> None:
        require_augmentation(self.augmentation)
        require_class_balance(self.class_balance)
        for name in ("label_smoothing", "drop_path", "module_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}; give 0 for none, or less than 1")
        if not 0 < self.module_scale < math.inf:
            raise InputError(f"module_scale is {self.module_scale}; give 1 for none, or more than 0")
        if self.l2_sp < 0:
            raise InputError(f"l2_sp is {self.l2_sp}; give 0 for none, or more")
        if self.start not in STARTS:
            raise InputError(f"start is '{self.start}'; give one of {', '.join(STARTS)}")

    @property
    def variants(self) -> list[str]:
        """Names of the choices that are not ``none``: augmentation, balance, what is dropped, the scale."""
        rates = {"drop-path": self.drop_path, "module-dropout": self.module_dropout}
        named = [name for name in (self.augmentation, self.class_balance) if name != "none"]
        dropped = [f"{name}-{rate:g}" for name, rate in rates.items() if rate]
        scaled = [f"module-scale-{self.module_scale:g}"] if self.module_scale != 1 else []
        return [*named, *dropped, *scaled]

    def to_dict(self) -> dict[str, Any]:
        """All fields, JSON-able."""
        return asdict(self)

    def lr_at(self, step: int, total: int) -> float:
        """The learning rate at ``step`` (from 0) of ``total`` steps."""
        rising = max(1, round(self.warmup * total))
        if step < rising:
            return self.lr * (step + 1) / rising
        return self.lr * 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, total - rising)))
