"""The parts of a timm Vision Transformer (embedding, layers, pooling), alike for every supported family."""

from __future__ import annotations

from typing import Any, cast

import torch
import torch.nn.functional as F
from timm.layers import resample_abs_pos_embed
from timm.models.beit import Beit
from timm.models.deit import VisionTransformerDistilled
from timm.models.eva import Eva
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from supernet.modules import Grid
from supernet.operations import Operations, Positions, spread

FAMILIES = (VisionTransformer, VisionTransformerDistilled, Eva, Beit)


class Trunk:
    """The parts of a backbone, referenced and not owned.

    There are three families: ``VisionTransformer`` (absolute positions), ``Eva`` (EVA, EVA-02, DINOv3 and the
    ViTs with rotary positions) and ``Beit`` (relative position bias). Raises ``TypeError`` for any other
    model or block, naming the unsupported part.
    """

    def __init__(self, model: nn.Module) -> None:
        if type(model) not in FAMILIES:
            raise TypeError(f"is a {type(model).__name__}")
        self.model: Any = model
        self.layers = [Operations(block) for block in cast(nn.ModuleList, model.blocks)]
        self.prefix_tokens = int(cast(Any, model).num_prefix_tokens)
        shapes = {(o.width, o.attention_width, o.fc1_width, o.hidden_width) for o in self.layers}
        if len(shapes) != 1:
            raise TypeError("has layers of different shapes")

    def embed(self, images: Tensor) -> tuple[Tensor, list[Positions]]:
        """Tokens ``(B, N, d)`` of normalised images ``(B, 3, H, W)``, and their positions for each layer."""
        model, depth = self.model, len(self.layers)
        if isinstance(model, Beit):
            x = model.patch_embed(images)
            x = torch.cat([model.cls_token.expand(x.shape[0], -1, -1), x], dim=1)
            x = x if model.pos_embed is None else x + model.pos_embed
            shared = None if model.rel_pos_bias is None else model.rel_pos_bias()[None]
            grid = self._grid_of(images, x)
            return x, [Positions(bias=_relative_bias(layer, shared), grid=grid) for layer in self.layers]
        if isinstance(model, Eva):
            x, rope = model._pos_embed(model.patch_embed(images))
            mixed = getattr(model, "rope_mixed", False) and rope is not None
            ropes = list(rope) if mixed else [rope] * depth
            grid = self._grid_of(images, x)
            return model.norm_pre(x), [Positions(rope=r, grid=grid) for r in ropes]
        x = model.norm_pre(model.patch_drop(model._pos_embed(model.patch_embed(images))))
        return x, [Positions(grid=self._grid_of(images, x))] * depth

    def grid(self, images: Tensor) -> Grid:
        """Rows and columns of the patch embedding of ``images (B, 3, H, W)``."""
        patches = self.model.patch_embed
        if getattr(self.model, "dynamic_img_size", False):
            rows, columns = patches.dynamic_feat_size(tuple(images.shape[-2:]))
        else:
            rows, columns = patches.grid_size
        return int(rows), int(columns)

    def _grid_of(self, images: Tensor, tokens: Tensor) -> Grid | None:
        """The grid of the patches among ``tokens (B, N, d)``, None if they are no single grid."""
        if getattr(self.model.patch_embed, "grid_size", None) is None:
            return None
        rows, columns = self.grid(images)
        return (rows, columns) if rows * columns == tokens.shape[1] - self.prefix_tokens else None

    def with_prompts(
        self, x: Tensor, at: list[Positions], prompts: Tensor, sizes: Tensor | None
    ) -> tuple[Tensor, list[Positions]]:
        """Tokens with ``prompts (p, d)`` behind the class tokens: VPT-shallow.

        ``(M, p, d)`` are the prompts of M equal parts of the batch. Prompts have no position. Of image b the
        first ``sizes[b]`` are there; all if ``sizes`` is ``None``.
        """
        first, p = self.prefix_tokens, prompts.shape[-2]
        rows = spread(prompts if prompts.ndim == 3 else prompts[None], x.shape[0])
        x = torch.cat([x[:, :first], rows, x[:, first:]], dim=1)
        keys = None
        if sizes is not None:
            keys = torch.ones(x.shape[:2], dtype=torch.bool, device=x.device)
            keys[:, first : first + p] = torch.arange(p, device=x.device) < sizes[:, None]
        return x, [Positions(a.rope, _widened(a.bias, first, p), keys, a.grid) for a in at]

    def resampled(self, table: Tensor, images: Tensor) -> Tensor:
        """A ``table (c, N)`` of values for the tokens of an image of the model's own size, for ``images``.

        If the model accepts images of any size and ``images`` have another size, values are interpolated over
        the patches in the way of timm's position embeddings.
        """
        patches, size = self.model.patch_embed, tuple(images.shape[-2:])
        if not getattr(self.model, "dynamic_img_size", False) or size == patches.img_size:
            return table
        new, old = patches.dynamic_feat_size(size), patches.grid_size
        return cast(Tensor, resample_abs_pos_embed(table.T[None], new, old, self.prefix_tokens)[0].T)

    def without_prompts(self, x: Tensor, prompts: int) -> Tensor:
        """The inverse of `with_prompts` for the tokens of the last layer."""
        first = self.prefix_tokens
        return torch.cat([x[:, :first], x[:, first + prompts :]], dim=1)

    def pool(self, x: Tensor) -> Tensor:
        """Pooled features ``(B, d)`` of the last layer's tokens, the input of timm's own classifier."""
        return cast(Tensor, self.model.forward_head(self.model.norm(x), pre_logits=True))


def _relative_bias(layer: Operations, shared: Tensor | None) -> Tensor | None:
    attention = layer.attention
    if attention.relative_position_bias_table is None:
        return shared
    own = cast(Tensor, attention._get_rel_pos_bias())
    return own if shared is None else own + shared


def _widened(bias: Tensor | None, first: int, p: int) -> Tensor | None:
    """Insert zeros for ``p`` tokens from ``first`` on, in rows and columns of ``bias``."""
    if bias is None:
        return None
    parts = [bias[:, :, :first], bias.new_zeros(*bias.shape[:2], p, bias.shape[3]), bias[:, :, first:]]
    rows = torch.cat(parts, dim=2)
    left, right = rows[..., :first], rows[..., first:]
    return torch.cat([F.pad(left, (0, p)), right], dim=3)
