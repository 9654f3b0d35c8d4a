"""One forward pass over images of several networks around one frozen trunk, each network at its exact size.

The tokens of all images lie one behind the other, image by image, those of a network's images together. The
trunk's operations treat every token alike, so they run once over all of them. Modules and attention run on
the tokens of one network at a time. A network's images may therefore have more tokens than those of another
(VPT-shallow) and see other prompts (VPT-deep), and nothing is padded, masked or copied.

A `Pack` trains networks and stacks their weights; this pass is for inference only and leaves them alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import cast

import torch
from torch import Tensor, nn

from supernet.layer import (
    Active,
    Applied,
    after_attention,
    apply_modules,
    present_modules,
    queries_keys_values,
)
from supernet.modules import Place, Prompts, Size
from supernet.operations import Operations, Positions
from supernet.supernet import Supernet


class Resident:
    """A network with its modules sorted once for all passes, at the network's capacity."""

    def __init__(self, network: Supernet) -> None:
        capacity = network.capacity
        self.network = network
        self.sizes: list[dict[str, Size]] = [
            {kind: capacity[kind][i] for kind in capacity.kinds} for i in range(capacity.depth)
        ]
        self.layers = [
            _ResidentLayer(present_modules(cast(nn.ModuleDict, modules), sizes))
            for modules, sizes in zip(network.layers, self.sizes, strict=True)
        ]


class _ResidentLayer:
    """The modules of one layer of a network, by the place that they change."""

    def __init__(self, active: Active) -> None:
        places = {place for module, _ in active for place in module.places}
        self.at: dict[Place, Active] = {
            place: [(module, size) for module, size in active if place in module.places] for place in places
        }
        found = [(module, size) for module, size in active if isinstance(module, Prompts)]
        self._prompts = found[-1] if found else None

    def prompts(self) -> Tensor | None:
        """The layer's prompts ``(p, d)``, if there are any."""
        if self._prompts is None:
            return None
        module, size = self._prompts
        return module.prompts(size)


@dataclass(frozen=True)
class _Span:
    """Rows from ``start`` to ``stop`` of ``(T, c)``, in ``shape``: ``(n, N)`` or, of prompts, ``(p,)``."""

    start: int
    stop: int
    shape: tuple[int, ...]

    def of(self, x: Tensor) -> Tensor:
        """The rows ``(*shape, c)``, as a view."""
        return x[self.start : self.stop].view(*self.shape, x.shape[-1])


def _spans(shapes: Sequence[tuple[int, ...]]) -> list[_Span]:
    """Spans of the given shapes, one behind the other."""
    lengths = [int(torch.Size(shape).numel()) for shape in shapes]
    stops = list(accumulate(lengths))
    return [_Span(stop - n, stop, shape) for n, stop, shape in zip(lengths, stops, shapes, strict=True)]


@torch.inference_mode()
def grouped_logits(
    residents: Sequence[Resident], members: Sequence[Sequence[int]], images: Tensor
) -> list[Tensor]:
    """Logits ``(n, classes)`` of each network for its own images, in the order of ``members``.

    Args:
        residents: networks around one trunk, at least one.
        members: for each network the indices of its images, at least one; together every image once.
        images: normalised images ``(B, 3, H, W)``.
    """
    trunk = residents[0].network.trunk
    x, at = trunk.embed(images)
    order = [index for of_one in members for index in of_one]
    if order != sorted(order):
        x = x.index_select(0, torch.tensor(order, device=x.device))
    pieces = torch.split(x, [len(of_one) for of_one in members])
    begun = [
        resident.network.before_layers(piece, at, images, resident.sizes[0])
        for resident, piece in zip(residents, pieces, strict=True)
    ]
    spans = _spans([(tokens.shape[0], tokens.shape[1]) for tokens, _, _ in begun])
    unchanged = all(tokens is piece for (tokens, _, _), piece in zip(begun, pieces, strict=True))
    x = x.flatten(0, 1) if unchanged else torch.cat([tokens.flatten(0, 1) for tokens, _, _ in begun])
    for index, layer in enumerate(trunk.layers):
        x = _layer_forward(
            layer, [r.layers[index] for r in residents], spans, x, [where[index] for _, where, _ in begun]
        )
    last = [
        trunk.without_prompts(span.of(x), prompts) if prompts else span.of(x)
        for span, (_, _, prompts) in zip(spans, begun, strict=True)
    ]
    pooled = trunk.pool(last[0] if len(last) == 1 else torch.cat(last))
    of_networks = torch.split(pooled, [len(of_one) for of_one in members])
    return [r.network.classify(own) for r, own in zip(residents, of_networks, strict=True)]


def _layer_forward(
    layer: Operations,
    of_networks: Sequence[_ResidentLayer],
    spans: Sequence[_Span],
    x: Tensor,
    at: Sequence[Positions],
) -> Tensor:
    """Run a block on the tokens ``(T, d)`` of all networks; see `supernet.layer.layer_forward`."""
    applied = _applied(of_networks, spans)
    prompts = _prompts(layer, of_networks)
    qkv = queries_keys_values(layer, x, applied)
    out = [
        layer.attend(span.of(qkv), own, None, where).flatten(0, 1)
        for span, own, where in zip(spans, prompts, at, strict=True)
    ]
    return after_attention(layer, x, out[0] if len(out) == 1 else torch.cat(out), applied)


def _prompts(layer: Operations, of_networks: Sequence[_ResidentLayer]) -> list[Tensor | None]:
    """Queries, keys and values ``(p, 3e)`` of each network's prompts, or None where there are none."""
    tokens = [of_one.prompts() for of_one in of_networks]
    present = [(of_one, own) for of_one, own in zip(of_networks, tokens, strict=True) if own is not None]
    if not present:
        return [None] * len(tokens)
    spans = _spans([(len(own),) for _, own in present])
    applied = _applied([of_one for of_one, _ in present], spans)
    qkv = queries_keys_values(layer, torch.cat([own for _, own in present]), applied)
    found = iter(spans)
    return [None if own is None else next(found).of(qkv) for own in tokens]


def _applied(of_networks: Sequence[_ResidentLayer], spans: Sequence[_Span]) -> Applied:
    """The modules of all networks, each on the rows of its own network, which it overwrites."""

    def applied(place: Place, x: Tensor, y: Tensor) -> Tensor:
        for of_one, span in zip(of_networks, spans, strict=True):
            if place in of_one.at:
                own = span.of(y)
                changed = apply_modules(place, of_one.at[place], span.of(x), own)
                if changed is not own:
                    own.copy_(changed)
        return y

    return applied
