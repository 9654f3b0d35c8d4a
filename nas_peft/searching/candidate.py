"""A candidate: an architecture with what is known about it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from search_spaces import Architecture


@dataclass(frozen=True)
class Proposal:
    """A searcher's proposal: an architecture, its origin, and its parents.

    ``origin`` says how: ``reference``, ``sample``, ``mutation``, ``crossover``, ``enumeration`` (what is left
    of a small space), or the name of a searcher with ways of its own. ``parents`` are the numbers of the
    candidates it descends from, where that is known.
    """

    architecture: Architecture
    origin: str
    parents: tuple[int, ...] = ()


@dataclass(frozen=True)
class Candidate:
    """An evaluated architecture.

    ``number`` counts the candidates of a search from 0; ``params`` are the elements of its modules, head
    excluded; ``flops`` the operations of a forward pass of one image; ``latency``, where the run has
    measured it, the milliseconds of a forward pass of a batch (see `search_spaces.LatencyTable`);
    ``loss`` is the mean cross-entropy (lower is better; the score of the search) with its standard error
    over the ``images`` it was scored on; ``accuracy`` is the fraction of them classified correctly. The
    weights were inherited from the supernet. ``dropped`` ones were not scored on all images, as they were
    behind another one on the first of them; their loss is an estimate for all (see
    `nas_peft.searching.racing`).
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

    @property
    def architecture(self) -> Architecture:
        """The sizes of its modules."""
        return self.proposal.architecture

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
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
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Candidate:
        """The inverse of `to_dict`."""
        known = {field.name for field in fields(cls)} - {"proposal"}
        rest = {name: value for name, value in data.items() if name in known}
        architecture = Architecture.from_dict(data["architecture"])
        return cls(proposal=Proposal(architecture, data["origin"], tuple(data["parents"])), **rest)

    def rank_key(self) -> tuple[float, int, int]:
        """Sorts better candidates first: lower loss, then fewer parameters, then the earlier one."""
        return (self.loss, self.params, self.number)


def by_params(candidate: Candidate) -> float:
    """The default cost of a candidate."""
    return float(candidate.params)
