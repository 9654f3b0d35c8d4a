"""What every module kind has in common: one set of weights that holds all its sizes."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar, Literal, TypeAlias

import torch
from torch import Tensor, nn

Size: TypeAlias = int | Tensor
"""One size for the whole batch, or an int64 tensor ``(B,)`` with one size for each image."""

Place: TypeAlias = Literal["prompts", "qkv", "mlp_output"]


class ElasticModule(nn.Module):
    """A module of one layer whose size can be anything from 0 to ``capacity``.

    Sharing is nested: the module of size r is the first r units of the largest one, and nothing scales
    with the active size. Every parameter has the size as its first axis, except those named in
    ``unsized``, which are present whole whenever the size is positive. With one size for the batch the
    weights are sliced; with one for each image the module runs at capacity and units beyond an image's
    size are multiplied by zero, so shapes stay static. Both ways agree.

    A kind is one subclass with ``kind`` (its name in the search space), ``place`` (where in the layer its
    output enters) and ``forward``; `register_elastic` makes it known.
    """

    kind: ClassVar[str]
    place: ClassVar[Place]
    unsized: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, width: int, capacity: int) -> None:
        super().__init__()
        self.width = width
        self.capacity = capacity

    @abstractmethod
    def reset(self, generator: torch.Generator) -> None:
        """Draw the initial weights so that the output at step 0 is zero (prompts excepted)."""

    def tensors_at(self, size: int) -> dict[str, Tensor]:
        """The exact tensors of the module of ``size`` > 0: views of the shared weights."""
        return {
            name: value.data if name in self.unsized else value.data[:size]
            for name, value in self.named_parameters()
        }

    def unit_mask(self, size: Tensor, dtype: torch.dtype) -> Tensor:
        """1 for the units below each image's size, 0 beyond: ``(B,)`` to ``(B, 1, capacity)``."""
        units = torch.arange(self.capacity, device=size.device)
        return (units < size[:, None]).to(dtype)[:, None, :]


ELASTIC: dict[str, type[ElasticModule]] = {}


def register_elastic(module: type[ElasticModule]) -> type[ElasticModule]:
    """Make a module kind known to the supernet under its ``kind``; usable as a class decorator."""
    if module.kind in ELASTIC:
        raise ValueError(f"module kind '{module.kind}' is registered already")
    ELASTIC[module.kind] = module
    return module
