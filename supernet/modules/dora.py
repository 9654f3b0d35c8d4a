"""DoRA: LoRA with a learned magnitude for each output of a projection."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from search_spaces import BackboneShape
from supernet.modules.elastic import Place, Size, register_elastic
from supernet.modules.lora import Factors
from supernet.sums import plus_product


class DoRA(Factors):
    """``m |W| / |W + B^T A| (W + B^T A) x + b`` in place of ``W x + b``; Liu et al. (arXiv 2402.09353).

    |W| are the norms of W's rows, one for each output; the published magnitude is ``m |W|``, and m ``(out,)``
    starts at 1. Like the published code, gradients take the norms for constants.

    The magnitude belongs to one low-rank update, whose norm changes with its rank. So DoRA is a kind with a
    size of its own, and no addition to whatever LoRA a layer has: at size r the norms are those of
    ``W + B^T A`` with the first r units. At size 0 there is no m.
    """

    pretrained: ClassVar[Mapping[str, float]] = {"up": 0.0, "magnitude": 1.0}
    unsized = frozenset({"magnitude"})
    reads_weights = True

    def __init__(self, shape: BackboneShape, capacity: int) -> None:
        super().__init__(shape, capacity)
        self.magnitude = nn.Parameter(torch.empty(self.ends(shape)[1]))
        self._frozen: Callable[[], tuple[Tensor, Tensor]] | None = None

    def reset(self, generator: torch.Generator) -> None:
        super().reset(generator)
        nn.init.ones_(self.magnitude)

    def bind(self, frozen: Callable[[], tuple[Tensor, Tensor]]) -> None:
        self._frozen = frozen

    def forward(self, place: Place, x: Tensor, y: Tensor, size: Size) -> Tensor:
        weight, bias = self._weight_and_bias()
        units = size if isinstance(size, int) else self.capacity
        ratios, inner = self._ratios(weight, units), x @ self.down[:units].T
        if isinstance(size, int):
            scale = self.magnitude * ratios[units]
        else:
            inner = inner * self.unit_mask(size, inner.dtype)
            scale = torch.where((size > 0)[:, None], self.magnitude * ratios[size], 1.0)[:, None]
        total = plus_product(y, inner, self.up[:units])
        return total * scale.to(total.dtype) + ((1 - scale) * bias).to(total.dtype)

    def merge(self, place: Place, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        """``s (W + B^T A)`` by rows and ``s bias + (1 - s) b``, with s and b of the frozen projection."""
        frozen, frozen_bias = self._weight_and_bias()
        scale = (self.magnitude * self._ratios(frozen, self.capacity)[self.capacity]).detach()
        merged = weight + self.up.detach().T @ self.down.detach()
        return scale[:, None] * merged, scale * bias + (1 - scale) * frozen_bias.detach()

    def _weight_and_bias(self) -> tuple[Tensor, Tensor]:
        if self._frozen is None:
            raise ValueError(f"{self.kind} needs the frozen weights; bind them first")
        weight, bias = self._frozen()
        # in half precision the frozen copies are bfloat16, too coarse for the length of W + B^T A
        return weight.to(self.down.dtype), bias.to(self.down.dtype)

    @torch.no_grad()
    def _ratios(self, weight: Tensor, units: int) -> Tensor:
        """``|W| / |W + B^T A|`` with the first 0 to ``units`` units, ``(units + 1, out)``, without autocast.

        With unit j the square of a row's norm grows by ``2 b_j (w + units before) a_j + b_j^2 a_j^2``.
        """
        with torch.autocast(weight.device.type, enabled=False):
            down, up = self.down[:units], self.up[:units]
            start = weight.square().sum(1)
            before = (down @ down.T).tril(-1) @ up
            own = up * down.square().sum(1, keepdim=True)
            grown = (up * (2 * (down @ weight.T + before) + own)).cumsum(0)
            squares = torch.cat([torch.zeros_like(start)[None], grown]) + start
            tiny = torch.finfo(squares.dtype).tiny
            return (start / squares.clamp(min=tiny)).sqrt()


@register_elastic("dora_rank")
class DoRAQueriesKeysValues(DoRA):
    """DoRA on queries, keys and values together, with one A for all three."""

    places = ("qkv",)


@register_elastic("dora_rank_proj")
class DoRAProjection(DoRA):
    """DoRA on the output projection of attention."""

    places = ("proj",)


@register_elastic("dora_rank_fc1")
class DoRAFirst(DoRA):
    """DoRA on the first layer of the MLP (values and gates together where it is gated)."""

    places = ("fc1",)


@register_elastic("dora_rank_fc2")
class DoRASecond(DoRA):
    """DoRA on the second layer of the MLP."""

    places = ("fc2",)
