"""The losses of an epoch, fetched from a GPU only once."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from search_spaces import InputError
from supernet.transfers import numbers


class NonFiniteLoss(InputError):
    """Error for an infinite or NaN loss; names the step, the learning rate and remedies."""


class EpochLosses:
    """Keeps the loss of each step on the device until the epoch ends.

    A loss that is not finite is detected at its step on a CPU. On other devices this happens at the end of
    the epoch, so that the host does not wait for the device in every step.

    Args:
        steps: number of steps of the epoch.
        first: number of the epoch's first step within the training, from 0.
        of: number of steps of the training.
        device: device of the losses.
    """

    def __init__(self, steps: int, first: int, of: int, device: torch.device) -> None:
        self._losses = torch.zeros(steps, device=device)
        self._first = first
        self._of = of
        self._rates: list[float] = []
        self._images: list[int] = []

    def add(self, loss: Tensor, lr: float, images: int) -> None:
        """Add the mean ``loss`` of a step on ``images`` images at learning rate ``lr``.

        Raises `NonFiniteLoss` on a CPU.
        """
        step = len(self._rates)
        self._losses[step] = loss
        self._rates.append(lr)
        self._images.append(images)
        if self._losses.device.type == "cpu":
            self._require_finite(step, numbers(self._losses[step : step + 1])[0])

    def mean(self) -> float:
        """The mean loss per image over the epoch. Raises `NonFiniteLoss`, naming the first such step."""
        total = np.float32(0)
        for step, (loss, images) in enumerate(zip(numbers(self._losses), self._images, strict=True)):
            self._require_finite(step, loss)
            total += np.float32(loss) * np.float32(images)
        return float(total) / sum(self._images)

    def _require_finite(self, step: int, loss: float) -> None:
        if not math.isfinite(loss):
            raise NonFiniteLoss(
                f"the loss is {loss} at step {self._first + step + 1} of {self._of} (learning rate "
                f"{self._rates[step]:.2g}); try a lower learning rate, or check the images for corrupt values"
            )
