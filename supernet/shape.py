"""The shape of a backbone, for counting."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from search_spaces import BackboneShape
from supernet.trunk import Trunk


@torch.no_grad()
def shape_of(trunk: Trunk) -> BackboneShape:
    """Shape of ``trunk``, for counting.

    The number of tokens, their grid and the operations outside the layers (patch embedding, pooling) are
    measured on one image of the model's own size.
    """
    first, model = trunk.layers[0], trunk.model
    weight = next(model.parameters())
    height, width = model.patch_embed.img_size or model.pretrained_cfg["input_size"][1:]
    image = torch.zeros(1, 3, height, width, device=weight.device, dtype=weight.dtype)
    # the counter knows the matrix products of attention, not every fused kernel; and it takes views of
    # parameters that receive gradients for results with a backward pass
    with _frozen(model), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        x, at = trunk.embed(image)
        trunk.pool(x)
    return BackboneShape(
        depth=len(trunk.layers),
        width=first.width,
        attention_width=first.attention_width,
        fc1_width=first.fc1_width,
        hidden_width=first.hidden_width,
        tokens=int(x.shape[1]),
        outside_flops=int(counter.get_total_flops()),
        grid=at[0].grid,
    )


@contextmanager
def _frozen(model: nn.Module) -> Iterator[None]:
    trained = [p for p in model.parameters() if p.requires_grad]
    for p in trained:
        p.requires_grad_(False)
    try:
        yield
    finally:
        for p in trained:
            p.requires_grad_(True)
