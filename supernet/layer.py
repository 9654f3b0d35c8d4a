"""One layer of the supernet: timm's block computed with modules at their places."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import torch
import torch.nn.functional as F
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from supernet.modules import ElasticModule, Place, Size


def layer_forward(block: Block, modules: nn.ModuleDict, x: Tensor, sizes: Mapping[str, Size]) -> Tensor:
    """``(B, N, d)`` to ``(B, N, d)``: timm's pre-norm block with the modules that ``sizes`` makes present.

    A kind whose size is the integer 0 is not computed at all. With no module the result is the block's own.
    """
    active = [
        (cast(ElasticModule, modules[kind]), size)
        for kind, size in sizes.items()
        if kind in modules and not (isinstance(size, int) and size == 0)
    ]
    x = x + block.drop_path1(block.ls1(_attention(block, x, active)))
    y = block.ls2(block.mlp(block.norm2(x)))
    for module, size in _at("mlp_output", active):
        y = y + module(y, size)
    out: Tensor = x + block.drop_path2(y)
    return out


def _at(place: Place, active: list[tuple[ElasticModule, Size]]) -> list[tuple[ElasticModule, Size]]:
    return [(module, size) for module, size in active if module.place == place]


def _attention(block: Block, x: Tensor, active: list[tuple[ElasticModule, Size]]) -> Tensor:
    """Multi-head attention of the normalised tokens over themselves and the layer's prompts.

    Prompts enter as keys and values only: their queries and outputs would be thrown away. They pass
    through the same normalisation, projection and LoRA as a concatenated token would. For one architecture
    the ``(P, 2d)`` keys and values are computed once for the batch; the keys beyond an image's own number of
    prompts are masked.
    """
    attn = block.attn
    heads, head_dim = attn.num_heads, attn.head_dim
    inner = heads * head_dim
    h = block.norm1(x)
    batch, tokens, _ = h.shape
    qkv = attn.qkv(h)
    on_qkv = _at("qkv", active)
    for module, size in on_qkv:
        qkv = qkv + module(h, size)
    q, k, v = qkv.view(batch, tokens, 3, heads, head_dim).permute(2, 0, 3, 1, 4).unbind(0)

    mask: Tensor | None = None
    for prompts, size in _at("prompts", active):
        p = block.norm1(prompts(size))
        bias = None if attn.qkv.bias is None else attn.qkv.bias[inner:]
        kv = F.linear(p, attn.qkv.weight[inner:], bias)
        for module, rank in on_qkv:
            kv = kv + module(p, rank)[..., inner:]
        kv = kv.expand(batch, -1, -1) if kv.ndim == 2 else kv
        pk, pv = kv.view(batch, -1, 2, heads, head_dim).permute(2, 0, 3, 1, 4).unbind(0)
        k, v = torch.cat([k, pk], dim=2), torch.cat([v, pv], dim=2)
        if isinstance(size, Tensor):
            present = torch.arange(pk.shape[2], device=x.device) < size[:, None]
            mask = torch.cat([present.new_ones(batch, tokens), present], dim=1)[:, None, None, :]

    out = F.scaled_dot_product_attention(attn.q_norm(q), attn.k_norm(k), v, attn_mask=mask)
    out = attn.norm(out.transpose(1, 2).reshape(batch, tokens, inner))
    projected: Tensor = attn.proj_drop(attn.proj(out))
    return projected
