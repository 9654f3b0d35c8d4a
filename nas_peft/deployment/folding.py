"""Folding of a subnet's modules into the weights, as far as they can be merged."""

from __future__ import annotations

from dataclasses import dataclass

from search_spaces import KINDS, InputError
from supernet import Supernet
from supernet.merging import merged


@dataclass(frozen=True)
class Folded:
    """A network that computes what a subnet computes, with fewer modules.

    ``kinds`` were folded into the weights. ``obstacle`` says why nothing could be folded; it is empty
    otherwise.
    """

    network: Supernet
    kinds: tuple[str, ...]
    obstacle: str = ""

    @property
    def remaining(self) -> tuple[str, ...]:
        """The kinds that remain as modules."""
        return self.network.capacity.kinds


def fold(network: Supernet) -> Folded:
    """Merge what can be merged into a copy of the backbone; where merging is refused, keep every module."""
    try:
        result = merged(network)
    except InputError as error:
        return Folded(network, (), str(error))
    kept = result.capacity.kinds
    return Folded(result.eval(), tuple(kind for kind in network.capacity.kinds if kind not in kept))


def labels(kinds: tuple[str, ...]) -> str:
    """Kinds as a sentence names them: ``LoRA, SSF``; ``none`` if there are none."""
    return ", ".join(KINDS[kind].label for kind in kinds) or "none"
