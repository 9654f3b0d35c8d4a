"""One layer of the supernet: the backbone's operations with modules at their places."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias, cast

from torch import Tensor, nn

from supernet.modules import ElasticModule, Place, Prompts, Size
from supernet.operations import Operations, Positions
from supernet.sums import plus

Active: TypeAlias = list[tuple[ElasticModule, Size]]


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

    def qkv_of(tokens: Tensor) -> Tensor:
        h = _applied("norm1", active, tokens, layer.norm1(tokens))
        return _applied("qkv", active, h, layer.qkv(h))

    prompts, present = None, None
    for module, size in active:
        if isinstance(module, Prompts):
            prompts = qkv_of(module.prompts(size))
            present = size if isinstance(size, Tensor) else None
    out = layer.attend(qkv_of(x), prompts, present, at)
    x = plus(layer.scale1(_applied("proj", active, out, layer.proj(out))), x)

    h = _applied("norm2", active, x, layer.norm2(x))
    hidden = layer.activate(_applied("fc1", active, h, layer.fc1(h)))
    y = layer.scale2(_applied("fc2", active, hidden, layer.fc2(hidden)))
    return plus(_applied("mlp", active, h, y), x)


def present_modules(modules: nn.ModuleDict, sizes: Mapping[str, Size]) -> Active:
    """The modules of a layer that ``sizes`` makes present, with their sizes, in the order of their kinds."""
    return [
        (cast(ElasticModule, modules[kind]), size)
        for kind, size in sorted(sizes.items(), key=lambda item: item[0])
        if kind in modules and not (isinstance(size, int) and size == 0)
    ]


def _applied(place: Place, active: Active, x: Tensor, y: Tensor) -> Tensor:
    dtype = y.dtype
    for module, size in active:
        if place in module.places:
            # a float32 parameter beside bfloat16 tokens would widen all that comes after
            y = module(place, x, y, size).to(dtype)
    return y
