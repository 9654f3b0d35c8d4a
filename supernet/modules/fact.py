"""FacT: low-rank updates of all projections of all layers, with two factors that they share."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from search_spaces import BackboneShape
from search_spaces.kinds import fact_blocks
from supernet.modules.elastic import ElasticModule, Place, Size, register_elastic
from supernet.sums import plus, plus_product

PUBLISHED_RANK = 16
"""The largest rank of the paper's main results."""


@register_elastic("fact_rank")
class FacT(ElasticModule):
    """``y + x U C V`` on every projection y of x in every layer; Jie and Deng (arXiv 2212.03145).

    This is FacT-TT, the paper's tensor-train form. The projections of all layers are cut into blocks of d
    inputs and d outputs, in a plain ViT q, k, v, the output projection, four of fc1 and four of fc2. The
    update of block b has the rank r:

        x ΔW_b^T = x U C_b V,  with U = ``down^T (d, r)`` and V = ``up (r, d)`` shared by all blocks,
        and C_b = ``core[:, b] (r, r)`` of the block's own

    Blocks are counted layer by layer, within a layer by place, and within a place by inputs and outputs. The
    paper's ViTs have widths that are multiples of d; elsewhere (gated MLPs, narrow attention) the last block
    of a width is smaller, and uses the first channels of U or V.

    As in the published code U starts uniform in +-1/sqrt(d) and V at zero. C starts there uniform in
    +-1/sqrt(r), which is 1/4 at its largest rank of 16; here it is 1/4 for every rank, since no initial value
    may depend on the capacity. The scale s, which the paper chooses for each task, is a recipe's
    ``module_scale``, and the dropout of 0.1 is not taken over. The form FacT-TK, in which the C_b are
    combinations of r matrices, is not here: its factors would have to be sliced along three axes.

    One module in the first layer acts in all layers, and counts once.
    """

    places = ("qkv", "proj", "fc1", "fc2")
    pretrained: ClassVar[Mapping[str, float]] = {"up": 0.0}
    scaled = frozenset({"up"})
    mergeable = True

    def __init__(self, shape: BackboneShape, capacity: int) -> None:
        super().__init__(shape, capacity)
        self._blocks = fact_blocks(shape)
        of_layer = sum(inputs * outputs for inputs, outputs in self._blocks.values())
        self.down = nn.Parameter(torch.empty(capacity, shape.width))
        self.core = nn.Parameter(torch.empty(capacity, shape.depth * of_layer, capacity))
        self.up = nn.Parameter(torch.empty(capacity, shape.width))

    def reset(self, generator: torch.Generator) -> None:
        bound = 1 / math.sqrt(self.shape.width)
        nn.init.uniform_(self.down, -bound, bound, generator=generator)
        bound = 1 / math.sqrt(PUBLISHED_RANK)
        nn.init.uniform_(self.core, -bound, bound, generator=generator)
        nn.init.zeros_(self.up)

    def tensors_at(self, size: int) -> dict[str, Tensor]:
        return super().tensors_at(size) | {"core": self.core.data[:size, :, :size]}

    def forward(self, place: Place, x: Tensor, y: Tensor, size: Size, layer: int = 0) -> Tensor:
        """See `ElasticModule.forward`; ``layer`` is the index of the layer."""
        d, units = self.shape.width, size if isinstance(size, int) else self.capacity
        inputs, outputs = self._blocks[place]
        missing = inputs * d - x.shape[-1]
        inner = _divided(F.pad(x, (0, missing)) if missing else x, inputs) @ self.down[:units].T
        mask = None if isinstance(size, int) else self.unit_mask(size, inner.dtype)[..., None, :]
        inner = inner if mask is None else inner * mask
        mixed = _divided(inner.flatten(-2) @ self._mixing(place, layer, units), outputs)
        mixed = mixed if mask is None else mixed * mask
        up, parts, width = self.up[:units], _parts(place), y.shape[-1]
        if width == outputs * d:
            return plus_product(_divided(y, outputs), mixed, up).flatten(-2)
        added = _divided((mixed @ up).flatten(-2), parts)[..., : width // parts]
        return plus(y, added.flatten(-2))

    def merge(self, place: Place, weight: Tensor, bias: Tensor, layer: int = 0) -> tuple[Tensor, Tensor]:
        """``W + (U C V)^T``, block by block."""
        (inputs, outputs), parts = self._blocks[place], _parts(place)
        mixing = self._mixing(place, layer, self.capacity).detach()
        mixing = mixing.reshape(inputs, self.capacity, outputs, self.capacity)
        update = torch.einsum("iaob,ac,be->oeic", mixing, self.down.detach(), self.up.detach())
        of_parts = update.reshape(parts, -1, inputs * self.shape.width)
        rows = of_parts[:, : len(weight) // parts, : weight.shape[1]]
        return weight + rows.flatten(0, 1), bias

    def _mixing(self, place: Place, layer: int, units: int) -> Tensor:
        """The matrices C of a projection side by side, ``(inputs · units, outputs · units)``.

        A projection has one block of inputs or one of outputs.
        """
        inputs, outputs = self._blocks[place]
        first = 0
        for before, (its_inputs, its_outputs) in self._blocks.items():
            if before == place:
                break
            first += its_inputs * its_outputs
        of_layer = self.core.shape[1] // self.shape.depth
        first += layer * of_layer
        own = self.core[:units, first : first + inputs * outputs, :units]
        if inputs == 1:
            return own.flatten(1)
        return own.transpose(0, 1).flatten(0, 1)


def _parts(place: Place) -> int:
    """Parts of a projection whose outputs are cut into blocks one by one."""
    return 3 if place == "qkv" else 1


def _divided(x: Tensor, count: int) -> Tensor:
    """The channels of ``x (…, c)`` in ``count`` equal blocks, ``(…, count, c / count)``, as a view."""
    return x.view(*x.shape[:-1], count, -1)
