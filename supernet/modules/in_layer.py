"""Parts of modules of the first layer that act in other layers."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from supernet.modules.elastic import ElasticModule, Grid, Place, Size


class InLayer(ElasticModule):
    """The part of a module of the first layer that acts in another layer, for a kind that acts in all.

    The part has no parameters. The module is referenced without being a submodule, so that its parameters
    have one name, that in the first layer.

    Args:
        shared: the module of the first layer.
        index: the layer in which this part acts, from 0.
    """

    shared: ElasticModule

    def __init__(self, shared: ElasticModule, index: int) -> None:
        super().__init__(shared.shape, shared.capacity)
        self.__dict__["shared"] = shared  # an attribute that is set would become a submodule
        self.index = index
        self.kind, self.places, self.on_grid = shared.kind, shared.places, shared.on_grid  # type: ignore[misc]

    def reset(self, generator: torch.Generator) -> None:
        """Draw nothing: the module of the first layer draws the values."""

    def forward(self, place: Place, x: Tensor, y: Tensor, size: Size, *grid: Grid | None) -> Tensor:
        """See `ElasticModule.forward`."""
        changed: Tensor = self.shared(place, x, y, size, *grid, self.index)
        return changed

    def merge(self, place: Place, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        """See `ElasticModule.merge`."""
        merge: Callable[..., tuple[Tensor, Tensor]] = self.shared.merge
        return merge(place, weight, bias, self.index)
