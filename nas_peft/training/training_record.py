"""The record of one separate training, as stored in the run folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nas_peft.data.count_words import count_words
from nas_peft.training.image_scores import ImageScores
from nas_peft.training.training import Training
from nas_peft.training.val_score import ValScore
from supernet import Curve


@dataclass(frozen=True)
class TrainingRecord:
    """The outcome of a training that has ended.

    Args:
        training: the training.
        curve: losses by epoch, image passes and seconds; ``None`` if the training failed.
        val: score on the validation set; ``None`` for a final model, which is trained on that set too.
        error: why the training failed for good, else ``None``.
        stopped_at: epoch after which the training was stopped early, else ``None``.
        peak_memory: peak memory of the process in bytes; ``None`` where it cannot be measured.
        images: the scores of each validation image, with ``val``; kept in a file of their own.
    """

    training: Training
    curve: Curve | None
    val: ValScore | None
    error: str | None = None
    stopped_at: int | None = None
    peak_memory: int | None = None
    images: ImageScores | None = None

    @classmethod
    def failed(cls, training: Training, reason: str) -> TrainingRecord:
        """The record of a training that has failed for good."""
        return cls(training, None, None, error=reason)

    @property
    def seed(self) -> int:
        """The seed of the order of the images."""
        return self.training.seed

    @property
    def lr(self) -> float:
        """The peak learning rate."""
        return self.training.recipe.lr

    @property
    def failure(self) -> str | None:
        """Why a training is unusable (error or early stop), with seed and recipe, else ``None``."""
        if self.error is not None:
            reason = self.error
        elif self.stopped_at is not None:
            reason = f"stopped early, after epoch {self.stopped_at}"
        else:
            return None
        training, part = self.training, "" if self.training.on == "train" else "final model, "
        epochs = f", {count_words(training.recipe.epochs, 'epochs')}" if training.names_epochs else ""
        recipe = training.recipe
        plain = {"augmentation": "none", "class balance": "none", "drop path": 0, "module dropout": 0}
        values = {what: getattr(recipe, what.replace(" ", "_")) for what in plain}
        choices = "".join(f", {what} {value}" for what, value in values.items() if value != plain[what])
        decay = f", weight decay {recipe.weight_decay:g}" if training.names_decay else ""
        return f"{part}seed {self.seed}, learning rate {self.lr:g}{epochs}{choices}{decay}: {reason}"

    def val_score(self) -> ValScore:
        """The validation score. Raises ``ValueError`` for a training without one."""
        if self.val is None:
            raise ValueError(f"the training '{self.training.key}' was not scored on the validation set")
        return self.val

    def to_dict(self) -> dict[str, Any]:
        """The fields of the training, then those of the record but ``images``, JSON-able."""
        stopped = {} if self.stopped_at is None else {"stopped_at": self.stopped_at}
        return {
            **self.training.to_dict(),
            "error": self.error,
            "curve": self.curve.to_dict() if self.curve else None,
            "val": self.val._asdict() if self.val else None,
            "peak_memory": self.peak_memory,
            **stopped,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], images: ImageScores | None = None) -> TrainingRecord:
        """The inverse of `to_dict`; ``images`` are those of its file.

        Raises ``KeyError`` or ``TypeError`` for any other content.
        """
        curve, val = data["curve"], data["val"]
        return cls(
            Training.from_dict(data),
            Curve(**curve) if curve else None,
            ValScore(**val) if val else None,
            data["error"],
            data.get("stopped_at"),
            data.get("peak_memory"),
            images,
        )
