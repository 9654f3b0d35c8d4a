"""The frozen weights of a layer's operations, whatever form the backbone stores them in."""

from __future__ import annotations

from typing import Any

import torch
from timm.layers import SwiGLU
from torch import Tensor

from supernet.modules import Place
from supernet.operations import Operations


class FrozenProjection:
    """Weight ``(out, in)`` and bias ``(out,)`` of a layer's projection, read from the backbone at each call.

    A module holds the backbone's weights through this object, so that they are neither its parameters nor
    copied with it.
    """

    def __init__(self, layer: Operations, place: Place) -> None:
        self._layer, self._place = layer, place

    def __call__(self) -> tuple[Tensor, Tensor]:
        return read_projection(self._layer, self._place)

    def __deepcopy__(self, memo: dict[int, Any]) -> FrozenProjection:
        return self


def read_projection(layer: Operations, place: Place) -> tuple[Tensor, Tensor]:
    """Weight and bias of an operation, concatenated if stored in parts; absent biases are 0."""
    parts, a = parts_of(layer, place), layer.attention
    weight = parts[0].weight if len(parts) == 1 else torch.cat([part.weight for part in parts])
    if biases_beside(layer, place):
        return weight, torch.cat([a.q_bias, a.k_bias, a.v_bias])
    found = [(part.weight, getattr(part, "bias", None)) for part in parts]
    return weight, torch.cat([w.new_zeros(len(w)) if b is None else b for w, b in found])


def biases_beside(layer: Operations, place: Place) -> bool:
    """Whether biases of queries and values are stored beside the fused projection, as in EVA and BEiT."""
    return place == "qkv" and getattr(layer.attention, "q_bias", None) is not None


def parts_of(layer: Operations, place: Place) -> list[Any]:
    """The backbone's own modules of an operation, in the order of their outputs."""
    if place == "qkv" and layer.attention.qkv is None:
        return [layer.attention.q_proj, layer.attention.k_proj, layer.attention.v_proj]
    if place == "fc1" and isinstance(layer.mlp, SwiGLU):
        return [layer.mlp.fc1_g, layer.mlp.fc1_x]
    owner = {
        "norm1": (layer.block, "norm1"),
        "qkv": (layer.attention, "qkv"),
        "proj": (layer.attention, "proj"),
        "norm2": (layer.block, "norm2"),
        "fc1": (layer.mlp, "fc1"),
        "fc2": (layer.mlp, "fc2"),
    }[place]
    return [getattr(*owner)]
