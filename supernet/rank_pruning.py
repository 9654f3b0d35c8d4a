"""Low-rank updates cut by one threshold on their singular values."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from search_spaces import Architecture
from supernet.modules import ElasticModule
from supernet.modules.lora import LowRank
from supernet.supernet import Supernet


@dataclass(frozen=True)
class PrunedRanks:
    """The directions that are left of a network of LoRA kinds.

    Args:
        architecture: the rank of each module that is left.
        tensors: modules and head at these ranks, by name, on the CPU.
        threshold: the smallest singular value that is left; infinite if none is.
    """

    architecture: Architecture
    tensors: dict[str, Tensor]
    threshold: float


class _Direction(NamedTuple):
    """A direction of a module's update; ``cost`` is the number of its parameters."""

    value: float
    layer: int
    kind: str
    number: int
    cost: int


@torch.no_grad()
def pruned(network: Supernet, limit: int) -> PrunedRanks:
    """Keep the directions with the largest singular values, up to ``limit`` parameters of modules.

    Each module's update is B^T A = U S V^T. The directions of all modules are sorted by singular value, ties
    by layer, kind and place in their module, and kept up to the first one that does not fit. So one threshold
    holds for all layers and projections, whatever a direction costs there. Directions of which nothing but
    rounding is left are dropped in any case: both factors of such a direction would be zero, and have no
    gradient. The head stays as it is.

    Raises ``ValueError`` for a network with modules that are not LoRA on projections.
    """
    factors = {
        (layer, kind): refactored(_low_rank(module))
        for layer, modules in enumerate(network.layers)
        for kind, module in sorted(cast(nn.ModuleDict, modules).items())
    }
    directions = [
        _Direction(value, layer, kind, index, down.shape[1] + up.shape[1])
        for (layer, kind), (down, up, values) in factors.items()
        for index, value in enumerate(values.tolist())
    ]
    largest = max((direction.value for direction in directions), default=0.0)
    kept: list[_Direction] = []
    spent = 0
    for direction in sorted(directions, key=lambda d: (-d.value, *d[1:])):
        spent += direction.cost
        if spent > limit or direction.value <= largest * torch.finfo(torch.float32).eps:
            break
        kept.append(direction)
    ranks = {kind: [0] * len(network.layers) for _, kind in factors}
    for direction in kept:
        ranks[direction.kind][direction.layer] += 1
    tensors = {f"head.{name}": value.cpu().clone() for name, value in network.head.named_parameters()}
    for (layer, kind), (down, up, _) in factors.items():
        if rank := ranks[kind][layer]:
            tensors[f"layers.{layer}.{kind}.down"] = down[:rank].float().contiguous()
            tensors[f"layers.{layer}.{kind}.up"] = up[:rank].float().contiguous()
    threshold = min((direction.value for direction in kept), default=math.inf)
    return PrunedRanks(Architecture.of(len(network.layers), ranks), tensors, threshold)


def refactored(module: LowRank) -> tuple[Tensor, Tensor, Tensor]:
    """A ``(k, in)``, B ``(k, out)`` and the singular values ``(k,)`` of a module's update, largest first.

    A = sqrt(S) V^T and B = sqrt(S) U^T, so that both factors of a direction have one norm. k is the rank that
    the update can have. QR of the two factors leaves a matrix of r by r for the decomposition, so that the
    update itself, ``(out, in)``, is never made. All is computed on the CPU in float64. The largest element of
    each row of A is positive, which determines the signs.
    """
    left, of_left = torch.linalg.qr(module.up.detach().cpu().double().T)
    right, of_right = torch.linalg.qr(module.down.detach().cpu().double().T)
    u, values, v = torch.linalg.svd(of_left @ of_right.T, full_matrices=False)
    up, down = (left @ u).T, v @ right.T
    signs = down.gather(1, down.abs().argmax(1, keepdim=True)).sign()
    scale = values.sqrt()[:, None] * signs
    return scale * down, scale * up, values


def _low_rank(module: nn.Module) -> LowRank:
    if not isinstance(module, LowRank):
        raise ValueError(
            f"{cast(ElasticModule, module).kind} is no LoRA on a projection, and has no ranks to cut"
        )
    return module
