"""The record of one separate training, as it is kept in the run folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nas_peft.training.training import Training
from nas_peft.training.val_score import ValScore
from supernet import Curve


@dataclass(frozen=True)
class TrainingRecord:
    """A training that has ended, and how.

    Args:
        training: what was trained.
        curve: losses by epoch, image passes and seconds; ``None`` if it failed.
        val: its score on the validation part; ``None`` for a final model, which is trained on that part too.
        error: why it failed for good; else ``None``.
        stopped_at: the epoch after which a rival ended it early; else ``None``.
        peak_memory: of its process, in bytes; ``None`` where it cannot be measured.
    """

    training: Training
    curve: Curve | None
    val: ValScore | None
    error: str | None = None
    stopped_at: int | None = None
    peak_memory: int | None = None

    @classmethod
    def failed(cls, training: Training, reason: str) -> TrainingRecord:
        """The record of a training that has failed for good."""
        return cls(training, None, None, error=reason)

    @property
    def seed(self) -> int:
        """The seed of its order of images."""
        return self.training.seed

    @property
    def lr(self) -> float:
        """Its peak learning rate."""
        return self.training.recipe.lr

    @property
    def failure(self) -> str | None:
        """Why a training is unusable (error or early stop), with its seed and rate; ``None`` if it is not."""
        if self.error is not None:
            reason = self.error
        elif self.stopped_at is not None:
            reason = f"stopped early, after epoch {self.stopped_at}"
        else:
            return None
        part = "" if self.training.on == "train" else "final model, "
        return f"{part}seed {self.seed}, learning rate {self.lr:g}: {reason}"

    def val_score(self) -> ValScore:
        """Its validation score. Raises ``ValueError`` for a training without one."""
        if self.val is None:
            raise ValueError(f"the training '{self.training.key}' was not scored on the validation part")
        return self.val

    def to_dict(self) -> dict[str, Any]:
        """JSON-able: the training's own fields, then the record's."""
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
    def from_dict(cls, data: Mapping[str, Any]) -> TrainingRecord:
        """The inverse of `to_dict`. Raises ``KeyError`` or ``TypeError`` for another content."""
        curve, val = data["curve"], data["val"]
        return cls(
            Training.from_dict(data),
            Curve(**curve) if curve else None,
            ValScore(**val) if val else None,
            data["error"],
            data.get("stopped_at"),
            data.get("peak_memory"),
        )
