"""One layer of the supernet: the backbone's operations with modules at their places."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from typing import TypeAlias, cast

from torch import Tensor, nn

from supernet.depth_dropout import Kept
from supernet.modules import ElasticModule, Grid, Place, Prompts, Size
from supernet.operations import Operations, Positions
from supernet.sums import own, plus

Active: TypeAlias = Sequence[tuple[ElasticModule, Size]]


class Applied:
    """The modules of a layer, as a function of a place and the operation's input and output there.

    Args:
        places: the places that have modules; elsewhere an output is returned as it is.
        change: the new output of the operation at one of these places.
    """

    def __init__(self, places: Container[Place], change: Callable[[Place, Tensor, Tensor], Tensor]) -> None:
        self.places = places
        self._change = change

    def __call__(self, place: Place, x: Tensor, y: Tensor) -> Tensor:
        return self._change(place, x, y) if place in self.places else y


def layer_forward(
    layer: Operations,
    modules: nn.ModuleDict,
    x: Tensor,
    sizes: Mapping[str, Size],
    at: Positions,
    kept: Kept | None = None,
) -> Tensor:
    """Run a block with the modules that ``sizes`` makes present, ``(B, N, d)`` to ``(B, N, d)``.

    A kind whose size is the integer 0 is skipped. Without modules the result is the block's own.

    Prompts enter as keys and values only, because VPT-deep discards the rest of a prompt's computation. They
    pass the same normalisation, projection and modules as tokens. For one architecture their ``(P, 3e)`` keys
    and values are computed once for the batch; keys beyond an image's own number of prompts are masked.

    ``kept`` leaves parts out for some images of a training step; prompts pass all modules.
    """
    active = present_modules(modules, sizes)
    by_place: dict[Place, list[tuple[ElasticModule, Size]]] = {}
    for module, size in active:
        for place in module.places:
            by_place.setdefault(place, []).append((module, size))
    applied = Applied(by_place, lambda place, x, y: apply_modules(place, by_place[place], x, y, at.grid))

    prompts, present = None, None
    for module, size in active:
        if isinstance(module, Prompts):
            prompts, _ = queries_keys_values(layer, entered(module.prompts(size), applied), applied)
            present = size if isinstance(size, Tensor) else None
    if kept is not None and kept.modules is not None:
        whole = applied
        applied = Applied(whole.places, lambda place, x, y: kept.changed(y, whole(place, x, own(y))))
    x = entered(x, applied)
    qkv, h = queries_keys_values(layer, x, applied)
    out = layer.attend(qkv, prompts, present, at)
    del qkv  # memory of three times the tokens
    return after_attention(layer, x, h, out, applied, kept)


def entered(tokens: Tensor, applied: Applied) -> Tensor:
    """Tokens ``(…, d)`` as the modules before attention change them; the given tokens stay as they are."""
    return applied("input", tokens, own(tokens)) if "input" in applied.places else tokens


def queries_keys_values(layer: Operations, tokens: Tensor, applied: Applied) -> tuple[Tensor, Tensor | None]:
    """Queries, keys and values ``(…, 3e)`` of ``tokens (…, d)``, which may be a layer's prompts.

    Also the normalised tokens ``(…, d)``, the input of attention, if a module beside attention needs them.
    """
    h = applied("norm1", tokens, layer.norm1(tokens))
    read = applied("qkv_input", h, own(h)) if "qkv_input" in applied.places else h
    return applied("qkv", read, layer.qkv(read)), h if "attention" in applied.places else None


def after_attention(
    layer: Operations,
    x: Tensor,
    h: Tensor | None,
    out: Tensor,
    applied: Applied,
    kept: Kept | None = None,
) -> Tensor:
    """The rest of a block: tokens ``(…, d)`` from the residual stream ``x`` and attention's ``out (…, e)``.

    ``h`` is attention's input, as `queries_keys_values` gives it; ``kept`` may leave branches out.
    """
    kept = kept or Kept()
    y = layer.scale1(applied("proj", out, layer.proj(out)))
    x = plus(kept.branch(0, y if h is None else applied("attention", h, y)), x)
    x = applied("middle", x, x)
    h = applied("norm2", x, layer.norm2(x))
    read = applied("fc1_input", h, own(h)) if "fc1_input" in applied.places else h
    hidden = layer.activate(applied("fc1", read, layer.fc1(read)))
    y = layer.scale2(applied("fc2", hidden, layer.fc2(hidden)))
    x = plus(kept.branch(1, applied("mlp", h, y)), x)
    return applied("output", x, x)


def present_modules(modules: nn.ModuleDict, sizes: Mapping[str, Size]) -> Active:
    """The modules of a layer that ``sizes`` makes present, with their sizes, in the order of their kinds."""
    return [
        (cast(ElasticModule, modules[kind]), size)
        for kind, size in sorted(sizes.items(), key=lambda item: item[0])
        if kind in modules and not (isinstance(size, int) and size == 0)
    ]


def apply_modules(place: Place, active: Active, x: Tensor, y: Tensor, grid: Grid | None) -> Tensor:
    """The output ``y`` of the operation at ``place``, whose input is ``x``, as the modules there change it.

    ``grid`` is that of the images' patches.
    """
    dtype = y.dtype
    for module, size in active:
        changed = module(place, x, y, size, grid) if module.on_grid else module(place, x, y, size)
        # a float32 parameter beside bfloat16 tokens would widen all that comes after
        y = changed.to(dtype)
    return y
