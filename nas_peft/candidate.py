"""A candidate: an architecture with what is known about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from search_spaces import Architecture


@dataclass(frozen=True)
class Proposal:
    """What a searcher asks to be evaluated: an architecture, how it came about, and from which parents.

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
    excluded; ``loss`` is the mean validation cross-entropy (lower is better; the score of the search) with
    its standard error over ``images`` images; ``accuracy`` is the fraction classified correctly. The
    weights were inherited from the supernet.
    """

    number: int
    generation: int
    proposal: Proposal
    params: int
    loss: float
    loss_standard_error: float
    accuracy: float
    images: int

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
            "loss": self.loss,
            "loss_standard_error": self.loss_standard_error,
            "accuracy": self.accuracy,
            "images": self.images,
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Candidate:
        """The inverse of `to_dict`."""
        rest = {k: data[k] for k in ("number", "generation", "params", "loss", "loss_standard_error",
                                     "accuracy", "images")}  # fmt: skip
        architecture = Architecture.from_dict(data["architecture"])
        return cls(proposal=Proposal(architecture, data["origin"], tuple(data["parents"])), **rest)

    def rank_key(self) -> tuple[float, int, int]:
        """Sorts better candidates first: lower loss, then fewer parameters, then the earlier one."""
        return (self.loss, self.params, self.number)
