"""Scale and shift of the features after a layer's operations."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import accumulate
from typing import ClassVar

import torch
from torch import Tensor, nn

from search_spaces import BackboneShape
from search_spaces.kinds import ssf_widths
from supernet.modules.elastic import ElasticModule, Place, Size, register_elastic

ORDER: tuple[Place, ...] = ("norm1", "norm2", "proj", "fc2", "qkv", "fc1")
"""Operations in the order of sizes: size s covers the first s, cheapest first; 6 is SSF as published."""


@register_elastic("ssf")
class SSF(ElasticModule):
    """``scale * y + shift`` for each channel of an operation's output y, Lian et al. (arXiv 2210.08823).

    ``scale`` and ``shift`` concatenate the vectors of all operations, so that a smaller module is the first
    part of a larger module. They start at 1 and 0, and can be merged into the operations' own weights and
    biases after training.
    """

    pretrained: ClassVar[Mapping[str, float]] = {"scale": 1.0, "shift": 0.0}
    places = ORDER
    mergeable = True

    def __init__(self, shape: BackboneShape, capacity: int) -> None:
        super().__init__(shape, capacity)
        self.ends = [0, *accumulate(ssf_widths(shape)[:capacity])]
        self.scale = nn.Parameter(torch.empty(self.ends[-1]))
        self.shift = nn.Parameter(torch.empty(self.ends[-1]))

    def reset(self, generator: torch.Generator) -> None:
        nn.init.ones_(self.scale)
        nn.init.zeros_(self.shift)

    def tensors_at(self, size: int) -> dict[str, Tensor]:
        end = self.ends[size]
        return {"scale": self.scale.data[:end], "shift": self.shift.data[:end]}

    def forward(self, place: Place, x: Tensor, y: Tensor, size: Size) -> Tensor:
        number = ORDER.index(place)
        if number >= (size if isinstance(size, int) else self.capacity):
            return y
        scale, shift = (v.to(y.dtype) for v in self.operation(number))  # autocast would widen y instead
        if isinstance(size, int):
            return torch.addcmul(shift, y, scale)
        present = (size > number)[:, None, None]
        return y * torch.where(present, scale, 1) + torch.where(present, shift, 0)

    def merge(self, place: Place, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        """``scale W`` by rows, and ``scale b + shift``."""
        number = ORDER.index(place)
        if number >= self.capacity:
            return weight, bias
        scale, shift = (v.detach() for v in self.operation(number))
        return weight * (scale[:, None] if weight.ndim == 2 else scale), bias * scale + shift

    def operation(self, number: int) -> tuple[Tensor, Tensor]:
        """Scale and shift of the operation `ORDER` [number], as views."""
        part = slice(self.ends[number], self.ends[number + 1])
        return self.scale[part], self.shift[part]
