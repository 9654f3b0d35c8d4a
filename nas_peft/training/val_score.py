"""How well something did on the validation part, and which of two did better."""

from __future__ import annotations

from typing import NamedTuple


class ValScore(NamedTuple):
    """Accuracy (a fraction) and mean cross-entropy on the validation part."""

    accuracy: float
    loss: float

    def rank_key(self) -> tuple[float, float]:
        """Sorts better ones first: higher accuracy, then lower loss.

        As soups and WiSE-FT are published: by accuracy. Two hundred images tie often, and the loss then still
        tells.
        """
        return (-self.accuracy, self.loss)
