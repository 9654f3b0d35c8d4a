"""Dimensions of a Vision Transformer that the cost of a subnet depends on."""

from __future__ import annotations

import math
from dataclasses import dataclass

from search_spaces.errors import InputError
from search_spaces.whole_numbers import whole_number


@dataclass(frozen=True)
class BackboneShape:
    """Dimensions of a backbone for counting; all layers are alike.

    depth: number of layers.
    width: embedding width d.
    attention_width: heads × head dimension, the width of the queries, of the keys and of the values.
    fc1_width: outputs of the MLP's first layer (gates included, so twice `hidden_width` with SwiGLU).
    hidden_width: inputs of the MLP's second layer.
    tokens: tokens of an image in every layer, class and register tokens included.
    outside_flops: floating point operations of one image outside the layers: patch embedding and pooling.
    grid: rows and columns of the patches, which are the last tokens of an image; None where the patches are
        no single grid.

    Raises InputError for numbers below 1 (`outside_flops` may be 0), and for a grid of more patches than
    tokens.
    """

    depth: int
    width: int
    attention_width: int
    fc1_width: int
    hidden_width: int
    tokens: int
    outside_flops: int = 0
    grid: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        for name in ("depth", "width", "attention_width", "fc1_width", "hidden_width", "tokens"):
            whole_number(name, getattr(self, name), 1)
        whole_number("outside_flops", self.outside_flops, 0)
        for side in self.grid or ():
            whole_number("a side of the grid", side, 1)
        if self.patches > self.tokens:
            raise InputError(
                f"a grid of {self.patches} patches does not fit into {self.tokens} tokens; "
                "give its rows and columns, or None"
            )

    @property
    def patches(self) -> int:
        """Number of patches in the grid, 0 without one."""
        return 0 if self.grid is None else self.grid[0] * self.grid[1]

    @classmethod
    def vit(cls, width: int, depth: int = 12, tokens: int = 197, patch: int = 16) -> BackboneShape:
        """The plain ViT of Dosovitskiy et al. (arXiv 2010.11929): MLP four times as wide, class token.

        Patches are in a square; there is no grid if their number is no square.
        """
        patches = 2 * (tokens - 1) * 3 * patch**2 * width
        side = math.isqrt(tokens - 1)
        grid = (side, side) if side > 0 and side**2 == tokens - 1 else None
        return cls(depth, width, width, 4 * width, 4 * width, tokens, patches, grid)
