"""FacT written out block by block, as one matrix for each projection of a layer."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from search_spaces import BackboneShape
from supernet.modules import Place


def fact_updates(tensors: Mapping[str, Tensor], layer: int, shape: BackboneShape) -> dict[Place, Tensor]:
    """The updates ``(in, out)`` of a layer's projections, with the matrices C in the order of the blocks."""
    d, e = shape.width, shape.attention_width
    projections: list[tuple[Place, int, int]] = [("qkv", d, e)] * 3
    projections += [("proj", e, d), ("fc1", d, shape.fc1_width), ("fc2", shape.hidden_width, d)]
    blocks = [
        (number, rows, columns)
        for number, (_, inputs, outputs) in enumerate(projections)
        for rows in range(0, inputs, d)
        for columns in range(0, outputs, d)
    ]
    assert tensors["core"].shape[1] == shape.depth * len(blocks)
    whole = [torch.zeros(inputs, outputs) for _, inputs, outputs in projections]
    for index, (number, rows, columns) in enumerate(blocks):
        own = whole[number][rows : rows + d, columns : columns + d]
        update = tensors["down"].T @ tensors["core"][:, layer * len(blocks) + index] @ tensors["up"]
        own.copy_(update[: own.shape[0], : own.shape[1]])
    others: dict[Place, Tensor] = {"proj": whole[3], "fc1": whole[4], "fc2": whole[5]}
    return {"qkv": torch.cat(whole[:3], dim=1), **others}
