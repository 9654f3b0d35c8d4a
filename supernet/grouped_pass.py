"""One forward pass over images of several networks around one frozen trunk, each network at its exact size.

The tokens of all images lie one behind the other, those of a network's images together. The trunk's
operations treat every token alike, so they run once over all of them. Modules and attention run on the rows
of one network at a time. Images of different networks may therefore have different numbers of tokens
(VPT-shallow) and see different prompts (VPT-deep), and nothing is padded, masked or gathered.

A `Pack` trains networks and moves their weights into stacks; this pass is for inference only and leaves the
weights where they are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from supernet.bound_modules import Bound, BoundNetwork
from supernet.layer import Applied, after_attention, entered, queries_keys_values
from supernet.modules import Grid, Place
from supernet.operations import Operations, Positions
from supernet.precision import autocast


@torch.inference_mode()
def grouped_logits(networks: Sequence[BoundNetwork], images: Tensor, counts: Sequence[int]) -> list[Tensor]:
    """Logits ``(n, classes)`` of each network for its own images, in float32.

    Args:
        networks: networks around one trunk, at least one.
        images: normalised images ``(B, 3, H, W)``, those of the first network first.
        counts: number n of images of each network, at least 1.
    """
    trunk = networks[0].network.trunk
    with autocast(images.device, "fp32"):
        x, at = trunk.embed(images)
        pieces = x.split_with_sizes(list(counts))
        begun = [
            bound.network.before_layers(piece, at, images, bound.sizes[0])
            for bound, piece in zip(networks, pieces, strict=True)
        ]
        rows = _Rows([(tokens.shape[0], tokens.shape[1]) for tokens, _, _ in begun])
        unchanged = all(tokens is piece for (tokens, _, _), piece in zip(begun, pieces, strict=True))
        x = x.flatten(0, 1) if unchanged else torch.cat([tokens.flatten(0, 1) for tokens, _, _ in begun])
        for index, layer in enumerate(trunk.layers):
            x = _layer_forward(index, layer, networks, x, rows, [where[index] for _, where, _ in begun])
        last = [
            trunk.without_prompts(own, prompts) if prompts else own
            for own, (_, _, prompts) in zip(rows.images_of(x), begun, strict=True)
        ]
        prompted = any(prompts for _, _, prompts in begun)
        pooled = trunk.pool(torch.cat(last) if prompted else x.view(len(images), -1, x.shape[1]))
        of_networks = pooled.split_with_sizes(list(counts))
        return [b.network.classify(own) for b, own in zip(networks, of_networks, strict=True)]


@dataclass(frozen=True)
class _Rows:
    """Which rows of ``(T, c)`` belong to which network.

    ``shapes`` are those of each network's rows, which follow each other: ``(n, N)`` for images with N tokens,
    or ``(p,)`` for prompts.
    """

    shapes: Sequence[tuple[int, ...]]

    @cached_property
    def lengths(self) -> list[int]:
        """Number of rows of each network."""
        return [math.prod(shape) for shape in self.shapes]

    @property
    def alike(self) -> bool:
        """Whether all images have the same number of tokens."""
        return len({shape[1] for shape in self.shapes}) == 1

    def split(self, x: Tensor) -> tuple[Tensor, ...]:
        """The rows of each network, ``(t, c)``, as views."""
        return x.split_with_sizes(self.lengths)

    def images_of(self, x: Tensor) -> list[Tensor]:
        """The tokens of each network's images, ``(n, N, c)``, as views."""
        return [own.view(*shape, -1) for own, shape in zip(self.split(x), self.shapes, strict=True)]

    def applied(self, index: int, networks: Sequence[BoundNetwork], grid: Grid | None) -> Applied:
        """The modules of layer ``index`` of all networks, each on its own network's rows."""
        found: dict[Place, list[tuple[slice, tuple[int, ...], Sequence[Bound]]]] = {}
        start = 0
        for bound, length, shape in zip(networks, self.lengths, self.shapes, strict=True):
            for place, modules in bound.layers[index].items():
                found.setdefault(place, []).append((slice(start, start + length), shape, modules))
            start += length

        def change(place: Place, x: Tensor, y: Tensor) -> Tensor:
            for own, shape, modules in found[place]:
                own_x, own_y = x[own], y[own]
                for module in modules:
                    module(own_x, own_y, (shape, grid))
            return y

        return Applied(found, change)


def _layer_forward(
    index: int,
    layer: Operations,
    networks: Sequence[BoundNetwork],
    x: Tensor,
    rows: _Rows,
    at: Sequence[Positions],
) -> Tensor:
    """Run a block on the tokens ``(T, d)`` of all networks; see `supernet.layer.layer_forward`."""
    applied = rows.applied(index, networks, at[0].grid)
    prompts = _prompts(index, layer, networks, at[0].grid)
    x = entered(x, applied)
    qkv, h = queries_keys_values(layer, x, applied)
    each: list[tuple[Tensor, ...]]
    if rows.alike and all(where is at[0] for where in at):  # heads, norms and positions at once
        of_all = layer.tokens_by_head(qkv.view(-1, rows.shapes[0][1], qkv.shape[1]), at[0])
        counts = [shape[0] for shape in rows.shapes]
        each = list(zip(*(part.split_with_sizes(counts) for part in of_all), strict=True))
    else:
        each = [layer.tokens_by_head(own, where) for own, where in zip(rows.images_of(qkv), at, strict=True)]
    parts = [
        layer.attend_by_head(q, k, v, own_prompts, None, where).flatten(0, 1)
        for (q, k, v), own_prompts, where in zip(each, prompts, at, strict=True)
    ]
    out = layer.normalised_attention(parts[0] if len(parts) == 1 else torch.cat(parts))
    return after_attention(layer, x, h, out, applied)


def _prompts(
    index: int, layer: Operations, networks: Sequence[BoundNetwork], grid: Grid | None
) -> list[tuple[Tensor, Tensor] | None]:
    """Keys and values ``(1, heads, p, ·)`` of the prompts of each network, None for networks without."""
    tokens = [bound.prompts(index) for bound in networks]
    present = [own for own in tokens if own is not None]
    if not present:
        return [None] * len(tokens)
    owners = [bound for bound, own in zip(networks, tokens, strict=True) if own is not None]
    rows = _Rows([(len(own),) for own in present])
    applied = rows.applied(index, owners, grid)
    qkv, _ = queries_keys_values(layer, entered(torch.cat(present), applied), applied)
    keys, values = (part.split_with_sizes(rows.lengths, dim=2) for part in layer.prompts_by_head(qkv))
    found = iter(zip(keys, values, strict=True))
    return [None if own is None else next(found) for own in tokens]
