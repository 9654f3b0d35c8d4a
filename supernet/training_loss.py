"""The loss that trainings minimise: cross-entropy with smoothed or mixed labels, and for unequal classes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from supernet.class_balance import class_weights, log_priors
from supernet.recipe import Recipe
from supernet.targets import Targets
from supernet.transfers import to_device


@dataclass(frozen=True)
class TrainingLoss:
    """The loss of a recipe on the training images.

    A class-weighted loss is the sum of weighted terms divided by the number of images, not by the sum of the
    weights: then batches, their parts and processes add up to the loss of the whole. Logit adjustment
    (arXiv 2007.07314, τ = 1) adds the logarithms of the class shares to the logits in training only; what
    remains in the logits suits classes of equal size.

    Args:
        label_smoothing: share of each label that is spread evenly over all classes.
        weights: float32 ``(C,)``, weight of an image of each class; ``None`` for equal weights.
        offsets: float32 ``(C,)``, added to the logits; ``None`` for plain logits.
    """

    label_smoothing: float = 0.0
    weights: Tensor | None = None
    offsets: Tensor | None = None

    @classmethod
    def of(cls, recipe: Recipe, labels: Tensor, classes: int, device: torch.device) -> TrainingLoss:
        """The loss of ``recipe`` on all training ``labels (N,)``, for logits on ``device``."""
        weights = offsets = None
        if recipe.class_balance == "weighted":
            weights = to_device(class_weights(labels.cpu(), classes).float(), device)
        if recipe.class_balance == "logit-adjusted":
            offsets = to_device(log_priors(labels.cpu(), classes).float(), device)
        return cls(recipe.label_smoothing, weights, offsets)

    def mean(self, logits: Tensor, targets: Targets) -> Tensor:
        """The mean loss of ``logits (N, C)``."""
        if self.weights is None and targets.others is None:
            return F.cross_entropy(
                self._adjusted(logits), targets.labels, label_smoothing=self.label_smoothing
            )
        return self.terms(logits, targets).mean()

    def terms(self, logits: Tensor, targets: Targets) -> Tensor:
        """The loss ``(N,)`` of each image; ``logits`` are ``(N, C)``."""
        logits = self._adjusted(logits)
        own = self._of_labels(logits, targets.labels)
        if targets.others is None or targets.shares is None:
            return own
        return targets.shares * own + (1 - targets.shares) * self._of_labels(logits, targets.others)

    def distilled(self, logits: Tensor, teacher: Tensor, targets: Targets) -> Tensor:
        """The mean cross-entropy of plain ``logits (N, C)`` with the probabilities ``teacher (N, C)``.

        Neither smoothed nor adjusted, because the teacher's loss was; images keep the weights of their
        classes.
        """
        if self.weights is None:
            return F.cross_entropy(logits, teacher)
        weights = self.weights[targets.labels]
        if targets.others is not None and targets.shares is not None:
            weights = targets.shares * weights + (1 - targets.shares) * self.weights[targets.others]
        return (F.cross_entropy(logits, teacher, reduction="none") * weights).mean()

    def _adjusted(self, logits: Tensor) -> Tensor:
        return logits if self.offsets is None else logits + self.offsets

    def _of_labels(self, logits: Tensor, labels: Tensor) -> Tensor:
        terms = F.cross_entropy(logits, labels, reduction="none", label_smoothing=self.label_smoothing)
        return terms if self.weights is None else terms * self.weights[labels]
