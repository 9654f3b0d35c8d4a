"""Attention rollout: how much of a prediction is read from each patch of the image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
import torch.nn.functional as F
from timm.models.deit import VisionTransformerDistilled
from torch import Tensor
from torch.overrides import TorchFunctionMode

from supernet.supernet import Supernet


@torch.no_grad()
def attention_rollout(network: Supernet, images: Tensor) -> Tensor:
    """Shares of the patches ``(B, rows, columns)`` in what reaches the head; they sum to 1 for each image.

    Abnar and Zuidema (arXiv 2005.00928): in each layer half of a token comes from the token itself (the
    residual path) and half from the tokens that it attends to, averaged over heads. The product over layers
    says how much of each patch is in the tokens that the head pools. MLPs, values and convolutions are
    ignored, so this is a picture of where the network looks and no proof of what a prediction depends on.

    Prompts are no place in the image: what a token takes from them is left out, and the shares of the patches
    are scaled to sum to 1 in the end, not layer by layer, so that a layer which reads prompts alone moves
    nothing between patches. The prompts of VPT-shallow pass through all layers and may carry what they read
    from patches; only their own content is left out, like that of class and register tokens.

    Args:
        network: any subnet or supernet, run at its capacity.
        images: normalised images ``(B, 3, H, W)`` on the device of the network.
    """
    capacity = network.capacity
    sizes = [capacity.acting_in(i) for i in range(capacity.depth)]
    x, at, prompts = network.embed(images, sizes[0])
    mixing = torch.eye(x.shape[1], device=x.device).expand(x.shape[0], -1, -1)
    for index in range(len(network.trunk.layers)):
        with _Recorded() as attention:
            x = network.run_layer(index, x, sizes[index], at)
        (weights,) = attention.weights
        tokens = mixing.shape[1]
        # keys beyond the tokens are prompts; their columns are dropped and rows then sum to less than 1
        mixing = 0.5 * mixing + 0.5 * weights[:, :, :tokens] @ mixing
    first = network.trunk.prefix_tokens
    rows = _pooled_rows(network, x, mixing, prompts)
    shares = rows[:, first + prompts :]
    return (shares / shares.sum(1, keepdim=True)).reshape(len(shares), *network.trunk.grid(images))


class _Recorded(TorchFunctionMode):
    """Attention weights of the calls of ``scaled_dot_product_attention`` within, ``(B, queries, keys)``.

    The fused kernels return no weights, so these are computed beside them, averaged over heads.
    """

    def __init__(self) -> None:
        super().__init__()
        self.weights: list[Tensor] = []

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is F.scaled_dot_product_attention:
            self.weights.append(_weights(*args[:2], **(kwargs or {})))
        return func(*args, **(kwargs or {}))


def _weights(
    query: Tensor, key: Tensor, attn_mask: Tensor | None = None, scale: float | None = None, **others: Any
) -> Tensor:
    factor = query.shape[-1] ** -0.5 if scale is None else scale
    scores = (query.float() * factor) @ key.float().transpose(-2, -1)
    if attn_mask is not None:
        hidden = attn_mask.dtype == torch.bool
        scores = scores.masked_fill(~attn_mask, float("-inf")) if hidden else scores + attn_mask
    return scores.softmax(-1).mean(1)


def _pooled_rows(network: Supernet, x: Tensor, mixing: Tensor, prompts: int) -> Tensor:
    """Rows of ``mixing (B, N, N)`` that the head reads, averaged as it weighs them: ``(B, N)``."""
    model, first = network.trunk.model, network.trunk.prefix_tokens
    with _Recorded() as attention:
        network.pool(x, prompts)
    if attention.weights:  # a learned query that attends to the tokens, after the prompts are dropped
        weights: Tensor = attention.weights[-1]  # (B, 1, N without prompts)
        own = torch.cat([mixing[:, :first], mixing[:, first + prompts :]], dim=1)
        return (weights @ own).mean(1)
    if isinstance(model, VisionTransformerDistilled):
        return mixing[:, :first].mean(1)
    if cast(str, model.global_pool) == "token":
        return mixing[:, 0]
    return mixing[:, first + prompts :].mean(1)
