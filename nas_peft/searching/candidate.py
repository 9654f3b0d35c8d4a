"""Candidates: architectures with their measurements."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any

from search_spaces import Architecture


@dataclass(frozen=True)
class Proposal:
    """An architecture that a searcher proposes for evaluation.

    ``origin`` is ``reference``, ``sample``, ``mutation``, ``crossover``, ``enumeration`` (the rest of a small
    space), or the name of a searcher with its own way of proposing. ``parents`` are the numbers of the
    candidates that the architecture descends from, where known.
    """

    architecture: Architecture
    origin: str
    parents: tuple[int, ...] = ()


@dataclass(frozen=True)
class Candidate:
    """An evaluated architecture.

    ``number`` counts the candidates of a search from 0. ``params`` is the number of module parameters, head
    excluded; ``flops`` the floating point operations of a forward pass of one image; ``latency``, where the
    run measures it, the milliseconds of a forward pass of a batch (see `search_spaces.LatencyTable`).
    ``loss`` is the mean cross-entropy with weights inherited from the supernet (lower is better; the score of
    the search), with its standard error over the ``images`` scored; ``accuracy`` is the fraction of these
    images classified correctly. Where the metric of a run counts every class alike, both are means over
    classes. A ``dropped`` candidate was eliminated by racing on the first images; its
    loss is an estimate for all images (see `nas_peft.searching.racing`).
    ``shifted_loss`` and ``shifted_accuracy`` are those on shifted images, in searches with the objective
    ``robust``; else both are ``None``.
    """

    number: int
    generation: int
    proposal: Proposal
    params: int
    flops: int
    loss: float
    loss_standard_error: float
    accuracy: float
    images: int
    dropped: bool = False
    latency: float | None = None
    shifted_loss: float | None = None
    shifted_accuracy: float | None = None

    @property
    def architecture(self) -> Architecture:
        """Architecture of the candidate."""
        return self.proposal.architecture

    def to_dict(self) -> dict[str, Any]:
        """JSON-able fields; those on shifted images only where there are any."""
        shifted = {"shifted_loss": self.shifted_loss, "shifted_accuracy": self.shifted_accuracy}
        return {
            "number": self.number,
            "generation": self.generation,
            "architecture": self.architecture.to_dict(),
            "origin": self.proposal.origin,
            "parents": list(self.proposal.parents),
            "params": self.params,
            "flops": self.flops,
            "latency": self.latency,
            "loss": self.loss,
            "loss_standard_error": self.loss_standard_error,
            "accuracy": self.accuracy,
            "images": self.images,
            "dropped": self.dropped,
            **(shifted if self.shifted_loss is not None else {}),
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Candidate:
        """The inverse of `to_dict`."""
        known = {field.name for field in fields(cls)} - {"proposal"}
        rest = {name: value for name, value in data.items() if name in known}
        architecture = Architecture.from_dict(data["architecture"])
        return cls(proposal=Proposal(architecture, data["origin"], tuple(data["parents"])), **rest)

    def rank_key(self) -> tuple[float, int, int]:
        """Sort key, better candidates first: lower loss, then fewer parameters, then the lower number."""
        return (self.loss, self.params, self.number)


def cost_of(candidate: Candidate, field: str) -> float:
    """A field of a candidate as a cost; infinite where the candidate has none."""
    value = getattr(candidate, field)
    return math.inf if value is None else float(value)


def by_params(candidate: Candidate) -> float:
    """The default cost of a candidate: its parameters."""
    return float(candidate.params)
