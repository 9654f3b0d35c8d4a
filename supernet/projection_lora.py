"""LoRA kinds of a subnet as one low-rank update of each of the backbone's own linear layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from search_spaces import KINDS, InputError
from supernet.modules import ELASTIC, Place
from supernet.modules.lora import LowRank
from supernet.projection_weights import biases_beside, parts_of
from supernet.supernet import Supernet

PLACES: tuple[Place, ...] = ("qkv", "proj", "fc1", "fc2")


@dataclass(frozen=True)
class LinearUpdate:
    """``W + up @ down`` of one linear layer: ``down (r, in)``, ``up (out, r)``."""

    down: Tensor
    up: Tensor

    @property
    def rank(self) -> int:
        """The rank r, which is the sum of the ranks of the modules that act on the layer."""
        return self.down.shape[0]


def other_kinds(network: Supernet) -> list[str]:
    """The kinds of a subnet that are not LoRA on a projection."""
    return [kind for kind in network.capacity.kinds if not issubclass(ELASTIC[kind], LowRank)]


def linear_updates(network: Supernet) -> dict[str, LinearUpdate]:
    """The update of each linear layer that a subnet of LoRA kinds changes, by timm's name of the layer.

    Modules on one layer are put side by side: A's rows follow each other, and each B fills the rows of its
    part (queries, keys, values) and is zero elsewhere. Where queries, keys and values are layers of their
    own, each has only the modules that change it.

    Raises `InputError` for other kinds, and for a backbone that computes queries, keys and values without
    calling their layer, since nothing that wraps the layer would then act.
    """
    if others := other_kinds(network):
        labels = ", ".join(KINDS[kind].label for kind in others)
        raise InputError(f"only LoRA on projections is a low-rank update, and the subnet has {labels}")
    names = {id(module): name for name, module in network.backbone.named_modules()}
    found: dict[str, LinearUpdate] = {}
    for layer, of_layer in zip(network.trunk.layers, network.layers, strict=True):
        modules = [cast(LowRank, module) for _, module in sorted(cast(nn.ModuleDict, of_layer).items())]
        for place in PLACES:
            here = [module for module in modules if place in module.places]
            if not here:
                continue
            if biases_beside(layer, place):
                raise InputError(
                    "the backbone adds separate biases to queries and values without calling the layer qkv, "
                    "so that LoRA around the layer would have no effect"
                )
            parts = parts_of(layer, place)
            sizes = [len(part.weight) for part in parts]
            start = 0
            for part, size in zip(parts, sizes, strict=True):
                blocks = [_rows(module, sum(sizes), start, size) for module in here]
                acting = [(m, b) for m, b in zip(here, blocks, strict=True) if b is not None]
                if acting:
                    down = torch.cat([module.down.detach() for module, _ in acting])
                    found[names[id(part)]] = LinearUpdate(
                        down, torch.cat([block for _, block in acting], dim=1)
                    )
                start += size
    return found


def _rows(module: LowRank, rows: int, start: int, size: int) -> Tensor | None:
    """B ``(size, r)`` of a module in ``size`` of all ``rows``, zero outside its part; None outside of it."""
    height = rows // module.parts
    first = module.part * height
    if first >= start + size or first + height <= start:
        return None
    placed = module.up.new_zeros(rows, len(module.up))
    placed[first : first + height] = module.up.detach().T
    return placed[start : start + size]
