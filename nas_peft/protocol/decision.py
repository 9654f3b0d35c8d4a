"""The rule by which one of several trained networks is chosen on validation data.

The metric of the run, by default accuracy, decides first, within a fraction of a standard error of the best;
then the loss after temperature scaling, then the number of parameters (docs/log/decision_rule.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from nas_peft.settings.metric import Metric
from nas_peft.training.image_scores import ImageScores
from nas_peft.training.metrics import image_values

FRACTION = 0.5
"""Standard errors of the paired difference within which two scores, or two losses, count as equal."""

ROBUST_FRACTION = 2.0
"""The same of accuracies where the shifted loss decides: all that are not significantly below the highest."""

Reason: TypeAlias = Literal["alone", "accuracy", "loss", "params", "shifted"]
"""What left one contestant: nothing to choose, the first of the rule's three steps that did, or the shift.

``accuracy`` stands for the metric of the run.
"""

_ROUNDING = 1e-12


@dataclass(frozen=True)
class Contestant:
    """A row, or a training of a row, by its scores on the validation set.

    ``accuracy`` is the score by the run's metric, higher is better; ``accuracy`` and ``loss`` are means over
    seeds and images. ``hits`` and ``losses`` are those of each image, means over seeds (for other metrics
    than accuracy, ``hits`` are `metrics.image_values`); both are ``None`` where the scores of images were not
    kept. Where they were, the losses are temperature-scaled, with temperatures that were fitted on other
    images. ``name`` is unique.
    ``shifted_loss`` is the loss on shifted images, the mean over seeds, where contestants are chosen for it,
    and ``margin`` the most that this may cost in ``loss``.
    """

    name: str
    params: int
    accuracy: float
    loss: float
    hits: NDArray[np.float64] | None = None
    losses: NDArray[np.float64] | None = None
    shifted_loss: float | None = None
    margin: float = 0.0

    @classmethod
    def of(
        cls,
        name: str,
        params: int,
        accuracies: Sequence[float],
        losses: Sequence[float],
        images: Sequence[ImageScores] = (),
        metric: Metric = "accuracy",
    ) -> Contestant:
        """The contestant of scores by seed; ``images`` has the same seeds, or is empty.

        Raises ``ValueError`` for a metric other than accuracy without images.
        """
        if not images:
            if metric != "accuracy":
                raise ValueError(f"the metric '{metric}' needs the scores of images, and '{name}' has none")
            return cls(name, params, fmean(accuracies), fmean(losses))
        hits = np.mean([image_values(metric, scores) for scores in images], axis=0)
        calibrated = np.mean([scores.calibrated_losses for scores in images], axis=0)
        found = cls(name, params, float(hits.mean()), float(calibrated.mean()), hits, calibrated)
        shifted = [scores.shifted_loss for scores in images if scores.shifted_loss is not None]
        if len(shifted) < len(images):
            return found
        return replace(found, shifted_loss=fmean(shifted), margin=images[0].margin)

    def without_images(self) -> Contestant:
        """The same contestant by its means alone."""
        return replace(self, hits=None, losses=None)

    def dominates(self, other: Contestant) -> bool:
        """Whether this one is nowhere worse, in accuracy, loss and parameters, and somewhere better."""
        ours = (-self.accuracy, self.loss, self.params)
        theirs = (-other.accuracy, other.loss, other.params)
        return ours != theirs and all(a <= b for a, b in zip(ours, theirs, strict=True))


@dataclass(frozen=True)
class Decision:
    """The name of the chosen contestant, and the step of the rule that left it alone."""

    name: str
    by: Reason


def decide(
    contestants: Sequence[Contestant],
    fraction: float = FRACTION,
    robust_fraction: float = ROBUST_FRACTION,
) -> Decision:
    """Choose one of the contestants; their order does not matter.

    1. Contestants that another dominates in score, loss and parameters are left out.
    2. Those stay whose score by the metric is within ``fraction`` standard errors of the highest one. The
       standard error is that of the paired difference on the same images.
    3. Of them those stay whose loss is, in the same way, not above the lowest one.
    4. The fewest parameters decide; then the lower loss, the higher accuracy and the name.

    Where the scores of images of any contestant are missing no standard error is known, and only equal
    accuracies and losses count as equal.

    Where all contestants have a loss on shifted images, another rule chooses: of those whose ``loss`` is at
    most ``margin`` above the lowest one, and of them those within ``robust_fraction`` standard errors of
    the highest accuracy, the one with the lowest ``shifted_loss``.

    Raises ``ValueError`` for no contestant, and for images that differ in number.
    """
    if not contestants:
        raise ValueError("there is nothing to choose from")
    if all(c.shifted_loss is not None for c in contestants):
        return _robust(contestants, robust_fraction)
    counts = {None if c.hits is None else len(c.hits) for c in contestants}
    if None in counts:
        contestants = [contestant.without_images() for contestant in contestants]
    elif len(counts) > 1:
        raise ValueError(f"contestants were scored on different numbers of images: {sorted(counts, key=str)}")
    left = [c for c in contestants if not any(other.dominates(c) for other in contestants)]
    near = tied(left, fraction)
    chosen = min(near, key=lambda c: (c.params, c.loss, -c.accuracy, c.name))
    return Decision(chosen.name, _reason(_most_accurate(left), contestants, fraction))


def tied(contestants: Sequence[Contestant], fraction: float = FRACTION) -> list[Contestant]:
    """The contestants that the second and third step of `decide` leave."""
    alike = _as_accurate(_most_accurate(contestants), contestants, fraction)
    lowest = min(alike, key=lambda c: (c.loss, -c.accuracy, c.params, c.name))
    return _as_low(lowest, alike, fraction)


def _most_accurate(contestants: Sequence[Contestant]) -> Contestant:
    return min(contestants, key=lambda c: (-c.accuracy, c.loss, c.params, c.name))


def _robust(contestants: Sequence[Contestant], fraction: float) -> Decision:
    """The choice for the loss on shifted images, see `decide`."""
    most = min(c.loss for c in contestants) + contestants[0].margin + _ROUNDING
    within = [c for c in contestants if c.loss <= most]
    best = min(within, key=lambda c: (-c.accuracy, c.shifted_loss or 0.0, c.name))
    alike = _as_accurate(best, within, fraction)
    chosen = min(alike, key=lambda c: (c.shifted_loss or 0.0, c.params, c.loss, c.name))
    return Decision(chosen.name, "alone" if len(contestants) == 1 else "shifted")


def ranked(contestants: Sequence[Contestant], count: int | None = None) -> list[str]:
    """The names of the contestants that `decide` chooses one after another, at most ``count``."""
    left = {contestant.name: contestant for contestant in contestants}
    found: list[str] = []
    while left and (count is None or len(found) < count):
        found.append(decide(list(left.values())).name)
        del left[found[-1]]
    return found


def _reason(best: Contestant, contestants: Sequence[Contestant], fraction: float) -> Reason:
    """The deciding step among all ``contestants``, dominated ones included."""
    if len(contestants) == 1:
        return "alone"
    alike = _as_accurate(best, contestants, fraction)
    if len(alike) == 1:
        return "accuracy"
    lowest = min(alike, key=lambda c: (c.loss, -c.accuracy, c.params, c.name))
    return "loss" if len(_as_low(lowest, alike, fraction)) == 1 else "params"


def _as_accurate(best: Contestant, others: Sequence[Contestant], fraction: float) -> list[Contestant]:
    """The ``others`` whose accuracy counts as equal to that of ``best``."""
    return [
        other
        for other in others
        if best.accuracy - other.accuracy <= fraction * standard_error(best.hits, other.hits) + _ROUNDING
    ]


def _as_low(lowest: Contestant, others: Sequence[Contestant], fraction: float) -> list[Contestant]:
    """The ``others`` whose loss counts as equal to that of ``lowest``."""
    return [
        other
        for other in others
        if other.loss - lowest.loss <= fraction * standard_error(lowest.losses, other.losses) + _ROUNDING
    ]


def standard_error(first: NDArray[np.float64] | None, second: NDArray[np.float64] | None) -> float:
    """Standard error of the mean paired difference; 0 where images are missing, and for one image."""
    if first is None or second is None or len(first) < 2:
        return 0.0
    return float((first - second).std(ddof=1) / len(first) ** 0.5)
