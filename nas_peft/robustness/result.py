"""The result of a measurement of robustness."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray

EXPORTED = "(exported)"
"""End of the label of a run's exported model."""
WITHOUT_VAL = "†"
"""Sign of a model that was trained on the training set alone."""


@dataclass(frozen=True)
class Scores:
    """Scores of a model on one set of images.

    ``accuracy`` with its standard error over images, ``log_loss`` and ``calibration_error`` (expected, in 15
    bins); the last two after the model's temperature, where it has one.
    """

    images: int
    accuracy: float
    standard_error: float
    log_loss: float
    calibration_error: float


@dataclass(frozen=True)
class CorruptionScores:
    """`Scores` on the copies of all images by one corruption, at each severity."""

    name: str
    group: str
    by_severity: dict[int, Scores]

    @property
    def accuracy(self) -> float:
        """Mean accuracy over severities."""
        return fmean(scores.accuracy for scores in self.by_severity.values())

    @property
    def calibration_error(self) -> float:
        """Mean calibration error over severities."""
        return fmean(scores.calibration_error for scores in self.by_severity.values())


@dataclass(frozen=True)
class FrequencyScores:
    """Mean recall of a third of the classes on clean images, and the calibration error of their images.

    ``fewest`` and ``most`` are the bounds of the classes' numbers of training images. Recall is the mean over
    the classes that have test images.
    """

    name: str
    classes: int
    fewest: int
    most: int
    images: int
    recall: float
    calibration_error: float


@dataclass(frozen=True)
class ModelRobustness:
    """All scores of a model.

    ``corruption_error`` is the standard error, over images, of the mean corruption accuracy. ``without_val``
    tells that the weights are of a training on the training set alone, where those of the other models have
    seen the validation set, too: the row lost to another of its kind, so that it has no final model.
    """

    name: str
    label: str
    params: int
    temperature: float | None
    clean: Scores
    corruptions: tuple[CorruptionScores, ...]
    corruption_error: float | None
    domains: dict[str, Scores]
    frequency: tuple[FrequencyScores, ...]
    without_val: bool = False

    @property
    def shown_label(self) -> str:
        """The label, with `WITHOUT_VAL` behind that of a model without a final training."""
        return f"{self.label} {WITHOUT_VAL}" if self.without_val else self.label

    @property
    def exported(self) -> bool:
        """Whether this is the model that its run exported."""
        return self.label.endswith(EXPORTED)

    @property
    def mean_corruption_accuracy(self) -> float | None:
        """Mean accuracy over corruptions and severities; ``None`` without corruptions."""
        return fmean(c.accuracy for c in self.corruptions) if self.corruptions else None

    @property
    def mean_corruption_calibration_error(self) -> float | None:
        """Mean calibration error over corruptions and severities; ``None`` without corruptions."""
        return fmean(c.calibration_error for c in self.corruptions) if self.corruptions else None

    @property
    def average_domain_accuracy(self) -> float | None:
        """Mean accuracy over the other domains; ``None`` without domains."""
        return fmean(s.accuracy for s in self.domains.values()) if self.domains else None

    @property
    def worst_domain(self) -> str | None:
        """The other domain of the lowest accuracy; ``None`` without domains."""
        return min(self.domains, key=lambda name: self.domains[name].accuracy) if self.domains else None

    def to_dict(self) -> dict[str, Any]:
        """All scores and their means, JSON-able."""
        worst = self.worst_domain
        return {
            "name": self.name,
            "label": self.label,
            "params": self.params,
            "trained_without_val": self.without_val,
            "temperature": self.temperature,
            "clean": asdict(self.clean),
            "corruptions": {
                c.name: {
                    "group": c.group,
                    "accuracy": c.accuracy,
                    "calibration_error": c.calibration_error,
                    "by_severity": {str(level): asdict(s) for level, s in c.by_severity.items()},
                }
                for c in self.corruptions
            },
            "mean_corruption_accuracy": self.mean_corruption_accuracy,
            "mean_corruption_standard_error": self.corruption_error,
            "mean_corruption_calibration_error": self.mean_corruption_calibration_error,
            "domains": {name: asdict(scores) for name, scores in self.domains.items()},
            "average_domain_accuracy": self.average_domain_accuracy,
            "worst_domain": worst,
            "worst_domain_accuracy": None if worst is None else self.domains[worst].accuracy,
            "class_frequency": [asdict(group) for group in self.frequency],
        }


@dataclass(frozen=True)
class RobustnessResult:
    """The models of one measurement, which were tested on the same images.

    ``images`` says in words which images are clean, ``pixels`` how large a picture is when it is corrupted,
    ``left_out`` which models could not be rebuilt, with the reason, and ``notes`` what could not be compared
    with the data that the models were trained on.
    """

    images: str
    pixels: tuple[int, int]
    severities: tuple[int, ...]
    models: tuple[ModelRobustness, ...]
    left_out: dict[str, str]
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """All of it, JSON-able."""
        return {
            "images": self.images,
            "corrupted_at_pixels": list(self.pixels),
            "severities": list(self.severities),
            "models": [model.to_dict() for model in self.models],
            "left_out": self.left_out,
            "notes": list(self.notes),
        }


def share_error(hits: NDArray[np.float64]) -> float:
    """Standard error of the mean of ``hits (N,)``, values from 0 to 1 for each image; 0 for a single one."""
    return float(hits.std(ddof=1) / len(hits) ** 0.5) if len(hits) > 1 else 0.0
