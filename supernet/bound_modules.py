"""The modules of a network as functions of rows, bound to the weights once.

Where many networks share a batch, each has few rows, and on a CPU the calls around a module then take longer
than its arithmetic. The kinds that treat every token alike are bound to their weights here, at exact size,
and overwrite an operation's output with as few calls as possible. Any other kind keeps its own ``forward``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from supernet.layer import apply_modules, present_modules
from supernet.modules import SSF, ElasticModule, Grid, Place, Prompts, Size
from supernet.modules.adapter import QUICK, Bottleneck
from supernet.modules.lora import LowRank
from supernet.modules.ssf import ORDER
from supernet.supernet import Supernet

Rows: TypeAlias = tuple[tuple[int, ...], Grid | None]
"""The shape of a network's rows, ``(n, N)`` for images or ``(p,)`` for prompts, and the grid of patches."""

Bound: TypeAlias = Callable[[Tensor, Tensor, Rows], None]
"""Overwrites the output ``y (t, ·)`` of an operation, given its input ``x (t, ·)`` and what the rows are."""


class BoundNetwork:
    """A network at its capacity, for inference; it must not be moved, trained or loaded anew.

    ``layers[i][place]`` are the modules that change the operation at ``place``, in their order.
    """

    def __init__(self, network: Supernet) -> None:
        self.network = network
        self.sizes = [network.capacity.acting_in(i) for i in range(network.capacity.depth)]
        self.layers: list[Mapping[Place, list[Bound]]] = []
        self._prompts: list[tuple[Prompts, Size] | None] = []
        for modules, sizes in zip(network.layers, self.sizes, strict=True):
            places: dict[Place, list[Bound]] = {}
            prompts = None
            for module, size in present_modules(cast(nn.ModuleDict, modules), sizes):
                for place in module.places:
                    if (bound := _bound(module, place)) is not None:
                        places.setdefault(place, []).append(bound)
                if isinstance(module, Prompts):
                    prompts = (module, size)
            self.layers.append(places)
            self._prompts.append(prompts)

    def prompts(self, index: int) -> Tensor | None:
        """The prompts ``(p, d)`` of a layer, None if there are none."""
        found = self._prompts[index]
        return None if found is None else found[0].prompts(found[1])


def _bound(module: ElasticModule, place: Place) -> Bound | None:
    """A module at a place, None if it does nothing there.

    Decided by ``forward`` itself, so that a kind that changes it keeps its own.
    """
    form = _FORMS.get(type(module).forward)
    return _own_forward(module, place) if form is None else form(module, place)


def _own_forward(module: ElasticModule, place: Place) -> Bound:
    active = [(module, cast(Size, module.capacity))]

    def run(x: Tensor, y: Tensor, rows: Rows) -> None:
        shape, grid = rows
        own = y.view(*shape, -1)
        changed = apply_modules(place, active, x.view(*shape, -1), own, grid)
        if changed is not own:
            own.copy_(changed)

    return run


def _low_rank(module: ElasticModule, place: Place) -> Bound:
    """See `LowRank.forward`."""
    own = cast(LowRank, module)
    down, up = own.down.detach().T, own.up.detach()
    start, stop = own.part * up.shape[1], (own.part + 1) * up.shape[1]

    def whole(x: Tensor, y: Tensor, rows: Rows) -> None:
        torch.addmm(y, torch.mm(x, down), up, out=y)

    def part(x: Tensor, y: Tensor, rows: Rows) -> None:
        channels = y[:, start:stop]
        torch.addmm(channels, torch.mm(x, down), up, out=channels)

    return whole if own.parts == 1 else part


def _bottleneck(module: ElasticModule, place: Place) -> Bound:
    """See `Bottleneck.forward`; QuickGELU(u) is SiLU(c u) / c."""
    own = cast(Bottleneck, module)
    down, down_bias = own.down.detach().T, own.down_bias.detach()
    up, up_bias = own.up.detach(), own.up_bias.detach()
    if own.scales != "none":
        up, up_bias = own.scale.detach() * up, own.scale.detach() * up_bias
    parallel = own.parallel
    quick = type(own).activated is Bottleneck.activated

    def run(x: Tensor, y: Tensor, rows: Rows) -> None:
        hidden = torch.addmm(down_bias, x if parallel else y, down, beta=QUICK, alpha=QUICK)
        torch.addmm(y, F.silu(hidden, inplace=True), up, alpha=1 / QUICK, out=y)
        y.add_(up_bias)

    def run_own(x: Tensor, y: Tensor, rows: Rows) -> None:
        hidden = own.activated(torch.addmm(down_bias, x if parallel else y, down))
        torch.addmm(y, hidden, up, out=y)
        y.add_(up_bias)

    return run if quick else run_own


def _scale_and_shift(module: ElasticModule, place: Place) -> Bound | None:
    """See `SSF.forward`."""
    own, number = cast(SSF, module), ORDER.index(place)
    if number >= own.capacity:
        return None
    scale, shift = (vector.detach() for vector in own.operation(number))

    def run(x: Tensor, y: Tensor, rows: Rows) -> None:
        torch.addcmul(shift, y, scale, out=y)

    return run


_FORMS: dict[Any, Callable[[ElasticModule, Place], Bound | None]] = {
    LowRank.forward: _low_rank,
    Bottleneck.forward: _bottleneck,
    SSF.forward: _scale_and_shift,
}
