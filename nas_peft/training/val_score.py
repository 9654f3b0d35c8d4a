"""A score on the validation set, and the order of such scores."""

from __future__ import annotations

from typing import NamedTuple


class ValScore(NamedTuple):
    """Accuracy (a fraction) and mean cross-entropy on the validation set."""

    accuracy: float
    loss: float

    def rank_key(self) -> tuple[float, float]:
        """Sort key that puts better scores first: higher accuracy, then lower loss.

        Soups and WiSE-FT are published with accuracy as the criterion. Accuracies on 200 images often tie;
        the loss decides then.
        """
        return (-self.accuracy, self.loss)
