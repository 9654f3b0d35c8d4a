"""Temperature scaling, and losses after a temperature that was fitted on other images."""

from __future__ import annotations

from math import exp, log

import numpy as np
from numpy.typing import NDArray

from search_spaces.streams import stream

Logits = NDArray[np.float64]
Labels = NDArray[np.int64]

WIDEST = 8.0
"""Temperatures are between 1/8 and 8."""


def cross_entropy(logits: Logits, labels: Labels, temperature: float = 1.0) -> NDArray[np.float64]:
    """Cross-entropy of each image at a temperature; ``logits (N, C)``, ``labels (N,)``, result ``(N,)``."""
    scaled = logits / temperature
    shifted = scaled - scaled.max(axis=1, keepdims=True)
    right = shifted[np.arange(len(labels)), labels]
    return np.asarray(np.log(np.exp(shifted).sum(axis=1)) - right)


def fit_temperature(logits: Logits, labels: Labels) -> float:
    """The temperature T with the lowest cross-entropy of ``logits / T`` (Guo et al. 2017, arXiv 1706.04599).

    The sum of the losses has (ln T)² / 2 added, as if ln T were drawn from a standard normal distribution:
    where every image is right the losses alone would ask for T = 0, and for no image for nothing.
    """
    from scipy.optimize import minimize_scalar

    def objective(log_temperature: float) -> float:
        losses = cross_entropy(logits, labels, exp(log_temperature))
        return float(losses.sum()) + log_temperature**2 / 2

    widest = log(WIDEST)
    found = minimize_scalar(objective, bounds=(-widest, widest), method="bounded", options={"xatol": 1e-3})
    return exp(float(found.x))


def halves(images: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Two random halves of the numbers below ``images``, equal for every network that is compared."""
    order = stream(0, "temperature halves", images).permutation(images)
    return np.sort(order[: images // 2]), np.sort(order[images // 2 :])


def cross_fitted_losses(logits: Logits, labels: Labels) -> NDArray[np.float64]:
    """Cross-entropy ``(N,)`` of each image at the temperature fitted on the half that the image is not in."""
    losses = np.empty(len(labels))
    first, second = halves(len(labels))
    for fitted, compared in ((first, second), (second, first)):
        temperature = fit_temperature(logits[fitted], labels[fitted])
        losses[compared] = cross_entropy(logits[compared], labels[compared], temperature)
    return losses
