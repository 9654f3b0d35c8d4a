"""One layer of the supernet: the backbone's operations with modules at their places."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias, cast

from torch import Tensor, nn

from supernet.modules import ElasticModule, Place, Prompts, Size
from supernet.operations import Operations, Positions
from supernet.sums import plus

Active: TypeAlias = Sequence[tuple[ElasticModule, Size]]

Applied: TypeAlias = Callable[[Place, Tensor, Tensor], Tensor]
"""The modules at a place as a function of the place, the operation's input and the operation's output."""


def layer_forward(
    layer: Operations, modules: nn.ModuleDict, x: Tensor, sizes: Mapping[str, Size], at: Positions
) -> Tensor:
    """Run a block with the modules that ``sizes`` makes present, ``(B, N, d)`` to ``(B, N, d)``.

    A kind whose size is the integer 0 is skipped. Without modules the result is the block's own.

    Prompts enter as keys and values only, because VPT-deep discards the rest of a prompt's computation. They
    pass the same normalisation, projection and modules as tokens. For one architecture their ``(P, 3e)`` keys
    and values are computed once for the batch; keys beyond an image's own number of prompts are masked.
    """
    active = present_modules(modules, sizes)

    def applied(place: Place, before: Tensor, y: Tensor) -> Tensor:
        return apply_modules(place, active, before, y)

    prompts, present = None, None
    for module, size in active:
        if isinstance(module, Prompts):
            prompts = queries_keys_values(layer, module.prompts(size), applied)
            present = size if isinstance(size, Tensor) else None
    out = layer.attend(queries_keys_values(layer, x, applied), prompts, present, at)
    return after_attention(layer, x, out, applied)


def queries_keys_values(layer: Operations, tokens: Tensor, applied: Applied) -> Tensor:
    """Queries, keys and values ``(…, 3e)`` of ``tokens (…, d)``, which may be a layer's prompts."""
    h = applied("norm1", tokens, layer.norm1(tokens))
    return applied("qkv", h, layer.qkv(h))


def after_attention(layer: Operations, x: Tensor, out: Tensor, applied: Applied) -> Tensor:
    """The rest of a block: tokens ``(…, d)`` from the block's input ``x`` and attention's ``out (…, e)``."""
    x = plus(layer.scale1(applied("proj", out, layer.proj(out))), x)
    h = applied("norm2", x, layer.norm2(x))
    hidden = layer.activate(applied("fc1", h, layer.fc1(h)))
    y = layer.scale2(applied("fc2", hidden, layer.fc2(hidden)))
    return plus(applied("mlp", h, y), x)


def present_modules(modules: nn.ModuleDict, sizes: Mapping[str, Size]) -> Active:
    """The modules of a layer that ``sizes`` makes present, with their sizes, in the order of their kinds."""
    return [
        (cast(ElasticModule, modules[kind]), size)
        for kind, size in sorted(sizes.items(), key=lambda item: item[0])
        if kind in modules and not (isinstance(size, int) and size == 0)
    ]


def apply_modules(place: Place, active: Active, x: Tensor, y: Tensor) -> Tensor:
    """The output ``y`` of the operation at ``place``, whose input is ``x``, as the modules change it."""
    dtype = y.dtype
    for module, size in active:
        if place in module.places:
            # a float32 parameter beside bfloat16 tokens would widen all that comes after
            y = module(place, x, y, size).to(dtype)
    return y
