"""The operations of one layer, the same for every family of timm blocks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import torch
import torch.nn.functional as F
from timm.layers import Attention, AttentionRope, GluMlp, Mlp, SwiGLU
from timm.layers.pos_embed_sincos import apply_rot_embed_cat
from timm.models.beit import Attention as BeitAttention
from timm.models.beit import Block as BeitBlock
from timm.models.eva import EvaAttention, EvaBlock
from timm.models.vision_transformer import Block
from torch import Tensor, nn

BLOCKS = (Block, EvaBlock, BeitBlock)
ATTENTIONS = (Attention, AttentionRope, EvaAttention, BeitAttention)
MLPS = (Mlp, GluMlp, SwiGLU)


@dataclass(frozen=True)
class Positions:
    """Positions of the tokens for attention; none of these values is trained.

    ``rope`` rotates the queries and keys of the patch tokens, which come last. ``bias (1, heads, N, N)`` is
    added to the attention scores of every image. ``keys (B, N)`` marks the tokens that an image has; ``None``
    means all. ``grid`` is the rows and columns of the patch tokens, ``None`` where they are no single grid.
    """

    rope: Tensor | None = None
    bias: Tensor | None = None
    keys: Tensor | None = None
    grid: tuple[int, int] | None = None


class Operations:
    """The operations of a layer, resolved once from a timm block.

    Every supported block is pre-norm: ``x + scale1(proj(attend(qkv(norm1(x)))))``, then
    ``x + scale2(fc2(activate(fc1(norm2(x)))))``. Families differ in storage (fused or separate projections,
    separate biases, gated MLPs, layer scale) and in the positions given to attention (rotary positions,
    relative position bias); modules need not know. The block is referenced, not owned.
    """

    def __init__(self, block: nn.Module) -> None:
        found = _unsupported(block)
        if found:
            raise TypeError(found)
        self.block: Any = block
        self.attention: Any = cast(Any, block.attn)
        self.mlp: Any = cast(Any, block.mlp)
        attention, mlp = self.attention, cast(Any, block.mlp)
        self.heads = int(attention.num_heads)
        fused = attention.qkv is not None
        queries = (attention.qkv if fused else attention.q_proj).out_features
        self.attention_width = int(queries) // (3 if fused else 1)
        self.width = int(attention.proj.out_features)
        self.hidden_width = int(mlp.fc2.in_features)
        split = type(mlp) is SwiGLU
        self.fc1_width = 2 * self.hidden_width if split else int(mlp.fc1.out_features)

    def norm1(self, x: Tensor) -> Tensor:
        """Normalisation before attention, ``(…, d)`` to ``(…, d)``."""
        return cast(Tensor, self.block.norm1(x))

    def norm2(self, x: Tensor) -> Tensor:
        """Normalisation before the MLP, ``(…, d)`` to ``(…, d)``."""
        return cast(Tensor, self.block.norm2(x))

    def qkv(self, h: Tensor) -> Tensor:
        """Normalised tokens ``(…, d)`` to queries, keys and values side by side ``(…, 3e)``."""
        a = self.attention
        if a.qkv is None:
            return torch.cat([a.q_proj(h), a.k_proj(h), a.v_proj(h)], dim=-1)
        if getattr(a, "q_bias", None) is not None:
            return F.linear(h, a.qkv.weight, torch.cat([a.q_bias, a.k_bias, a.v_bias]))
        return cast(Tensor, a.qkv(h))

    def attend(self, qkv: Tensor, prompts: Tensor | None, sizes: Tensor | None, at: Positions) -> Tensor:
        """Attention of the tokens over themselves and the layer's prompts: ``(B, N, 3e)`` to ``(B, N, e)``.

        ``prompts`` are the prompts' queries, keys and values, ``(P, 3e)``, ``(B, P, 3e)``, or ``(M, P, 3e)``
        of M equal parts of the batch; their queries are not used. Of image b only the first ``sizes[b]`` are
        there; all of them if ``sizes`` is ``None``.
        """
        own = None if prompts is None else self.prompts_by_head(prompts)
        out = self.attend_by_head(*self.tokens_by_head(qkv, at), own, sizes, at)
        return self.normalised_attention(out)

    def tokens_by_head(self, qkv: Tensor, at: Positions) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values ``(B, heads, N, e / heads)`` of tokens ``(B, N, 3e)``."""
        a = self.attention
        q, k, v = self._by_head(qkv)
        q, k = _normalised(a, "q_norm", q), _normalised(a, "k_norm", k)
        if at.rope is not None:
            half = bool(getattr(a, "rotate_half", False))
            q, k = _rotated(q, at.rope, half).type_as(v), _rotated(k, at.rope, half).type_as(v)
        return q, k, v

    def prompts_by_head(self, prompts: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values ``(·, heads, P, e / heads)`` of prompts ``(P, 3e)`` or ``(·, P, 3e)``."""
        _, pk, pv = self._by_head(prompts if prompts.ndim == 3 else prompts[None])
        return _normalised(self.attention, "k_norm", pk), pv

    def attend_by_head(
        self,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        prompts: tuple[Tensor, Tensor] | None,
        sizes: Tensor | None,
        at: Positions,
    ) -> Tensor:
        """`attend` for results of `tokens_by_head` and `prompts_by_head`, without the last normalisation."""
        batch, _, tokens, _ = q.shape
        extra = 0
        if prompts is not None:
            pk, pv = prompts
            extra = pk.shape[2]
            if torch.is_grad_enabled():
                q = q.contiguous()  # a view would keep the keys and values, copied below, in memory too
            k = torch.cat([k, spread(pk, batch)], dim=2)
            v = torch.cat([v, spread(pv, batch)], dim=2)
        mask = _mask(at, sizes, batch, tokens, extra, q)
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return out.transpose(1, 2).reshape(batch, tokens, self.attention_width)

    def normalised_attention(self, out: Tensor) -> Tensor:
        """Normalisation of attention's output ``(…, e)``, where the block has one."""
        return _normalised(self.attention, "norm", out)

    def proj(self, out: Tensor) -> Tensor:
        """Output projection of attention, ``(B, N, e)`` to ``(B, N, d)``."""
        return cast(Tensor, self.attention.proj(out))

    def scale1(self, y: Tensor) -> Tensor:
        """Layer scale of the attention branch, the identity if the block has none."""
        return self._layer_scale(y, "ls1", "gamma_1")

    def scale2(self, y: Tensor) -> Tensor:
        """Layer scale of the MLP branch, the identity if the block has none."""
        return self._layer_scale(y, "ls2", "gamma_2")

    def fc1(self, h: Tensor) -> Tensor:
        """First layer of the MLP, ``(B, N, d)`` to ``(B, N, fc1_width)``; for SwiGLU gates, then values."""
        if type(self.mlp) is SwiGLU:
            return torch.cat([self.mlp.fc1_g(h), self.mlp.fc1_x(h)], dim=-1)
        return cast(Tensor, self.mlp.fc1(h))

    def activate(self, u: Tensor) -> Tensor:
        """Activation, gating and normalisation, ``(B, N, fc1_width)`` to ``(B, N, hidden_width)``."""
        mlp = self.mlp
        if isinstance(mlp, Mlp):
            u = mlp.act(u)
        else:
            first, second = u.chunk(2, dim=-1)
            gate_last = isinstance(mlp, GluMlp) and mlp.gate_last
            u = first * mlp.act(second) if gate_last else mlp.act(first) * second
        return cast(Tensor, mlp.norm(u))

    def fc2(self, u: Tensor) -> Tensor:
        """Second layer of the MLP, ``(B, N, hidden_width)`` to ``(B, N, d)``."""
        return cast(Tensor, self.mlp.fc2(u))

    def _by_head(self, qkv: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        batch, tokens, _ = qkv.shape
        split = qkv.view(batch, tokens, 3, self.heads, self.attention_width // self.heads)
        q, k, v = split.permute(2, 0, 3, 1, 4).unbind(0)
        return q, k, v

    def _layer_scale(self, y: Tensor, module: str, parameter: str) -> Tensor:
        if hasattr(self.block, module):
            return cast(Tensor, getattr(self.block, module)(y))
        gamma = getattr(self.block, parameter, None)
        return y if gamma is None else gamma * y


def spread(x: Tensor, batch: int) -> Tensor:
    """Repeat each row of ``(M, ...)`` for the images of one of M equal parts of a batch: ``(batch, ...)``."""
    if x.shape[0] in (1, batch):
        return x.expand(batch, *x.shape[1:])
    return x[:, None].expand(-1, batch // x.shape[0], *x.shape[1:]).flatten(0, 1)


def _normalised(attention: nn.Module, name: str, x: Tensor) -> Tensor:
    norm = getattr(attention, name, None)  # BEiT's attention has none
    return x if norm is None else cast(Tensor, norm(x))


def _rotated(x: Tensor, rope: Tensor, half: bool) -> Tensor:
    """Rotary positions for the last tokens of ``(B, heads, N, e / heads)``; class tokens come first."""
    prefix = x.shape[2] - rope.shape[-2]
    return torch.cat([x[:, :, :prefix], apply_rot_embed_cat(x[:, :, prefix:], rope, half=half)], dim=2)


def _mask(
    at: Positions, sizes: Tensor | None, batch: int, tokens: int, extra: int, like: Tensor
) -> Tensor | None:
    """Mask of the keys that each image sees, tokens then ``extra`` prompts, as a bool or within the bias."""
    keys = at.keys
    if sizes is not None:
        present = torch.arange(extra, device=like.device) < sizes[:, None]
        own = keys if keys is not None else present.new_ones(batch, tokens)
        keys = torch.cat([own, present], dim=1)
    elif keys is not None and extra:
        keys = torch.cat([keys, keys.new_ones(batch, extra)], dim=1)
    visible = None if keys is None else keys[:, None, None, :]
    if at.bias is None:
        return visible
    bias = F.pad(at.bias, (0, extra)) if extra else at.bias
    bias = bias.to(like.dtype)
    return bias if visible is None else bias.masked_fill(~visible, float("-inf"))


def _unsupported(block: nn.Module) -> str | None:
    """Reason why ``block`` is not supported, as the end of a sentence about its model."""
    attention, mlp = getattr(block, "attn", None), getattr(block, "mlp", None)
    if type(block) not in BLOCKS:
        return f"has blocks of type {type(block).__name__}"
    if type(attention) not in ATTENTIONS:
        return f"has attention of type {type(attention).__name__}"
    if getattr(attention, "gate", None) is not None:
        return "has gated attention"
    if getattr(attention, "num_kv_groups", 1) != 1:
        return "has grouped-query attention"
    if type(mlp) not in MLPS:
        return f"has MLPs of type {type(mlp).__name__}"
    return None
