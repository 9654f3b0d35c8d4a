"""Rules that choose on half of the validation images, so that the other half can judge them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from nas_peft.protocol.decision import FRACTION, Contestant, decide

SPLITS = 100
FRACTIONS = (0.0, 0.25, 0.5, 1.0, 2.0)


@dataclass(frozen=True)
class Half:
    """A training's scores on half of the images: hits, losses as they are, and calibrated losses.

    ``trust`` says how well its recipe does on other tasks, higher is better.
    """

    name: str
    params: int
    hits: NDArray[np.float64]
    losses: NDArray[np.float64]
    calibrated: NDArray[np.float64]
    trust: float = 0.0

    def contestant(self, losses: NDArray[np.float64]) -> Contestant:
        """The contestant with one of the losses."""
        return Contestant(
            self.name, self.params, float(self.hits.mean()), float(losses.mean()), self.hits, losses
        )


HalfRule: TypeAlias = Callable[[Sequence[Half]], str]
"""Rule that chooses a name from scores on half of the images."""


def _lowest(field: str) -> HalfRule:
    def choose(halves: Sequence[Half]) -> str:
        return min(halves, key=lambda half: (getattr(half, field).mean(), -half.hits.mean(), half.name)).name

    return choose


def _within(fraction: float, field: str) -> HalfRule:
    """The product's rule (`decide`) with a fraction and one of the losses."""
    return lambda halves: decide([half.contestant(getattr(half, field)) for half in halves], fraction).name


def _then_lowest(fraction: float, field: str) -> HalfRule:
    """The rule without its last step: of accuracies within the fraction the lowest loss, however close."""

    def choose(halves: Sequence[Half]) -> str:
        best = max(halves, key=lambda half: (half.hits.mean(), -getattr(half, field).mean()))
        alike = []
        for half in halves:
            difference = best.hits - half.hits
            error = difference.std(ddof=1) / len(difference) ** 0.5
            if difference.mean() <= fraction * error + 1e-12:
                alike.append(half)
        return _lowest(field)(alike)

    return choose


def product_rule(fraction: float) -> str:
    """The name of the product's rule with a fraction of a standard error."""
    return f"within {fraction:g} s.e., then calibrated loss within as many, then params"


PRODUCT = product_rule(FRACTION)
"""The rule of ``nas-peft search``."""

RULES: dict[str, HalfRule] = {
    "lowest loss": _lowest("losses"),
    "lowest calibrated loss": _lowest("calibrated"),
    **{f"within {f:g} s.e., then loss": _then_lowest(f, "losses") for f in FRACTIONS},
    **{f"within {f:g} s.e., then calibrated loss": _then_lowest(f, "calibrated") for f in FRACTIONS},
    **{product_rule(f): _within(f, "calibrated") for f in FRACTIONS},
}
