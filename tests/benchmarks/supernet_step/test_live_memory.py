"""Peak memory of tensors, against sums by hand; a float32 vector of 1,000 has 4,000 bytes."""

from __future__ import annotations

import gc

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from benchmarks.supernet_step.live_memory import LiveMemory


def test_what_is_there_before_and_views_count_once() -> None:
    weight = torch.ones(1000)
    with LiveMemory([weight, weight[:10], weight.view(10, 100)]) as memory:
        weight.view(100, 10).transpose(0, 1)[3:5].detach()
    assert memory.resident == memory.now == memory.peak == 4000


def test_what_is_gone_counts_no_more() -> None:
    x = torch.ones(1000)
    with LiveMemory([x]) as memory:
        y = x + 1  # 8,000
        y = y + 1  # 12,000 while both are there
        del y
        z = x[:500] + 1  # 6,000
        assert memory.now == 4000 + z.numel() * 4
    assert memory.peak == 12_000


def test_what_backward_needs_stays_until_then() -> None:
    weight = nn.Parameter(torch.ones(1000))
    with LiveMemory([weight]) as memory:
        loss = (weight * 2).exp().exp().sum()  # two results of exp are saved, the product is not
        gc.collect()
        assert memory.now == 4000 + 2 * 4000 + 4
        loss.backward()
        del loss
    assert memory.now == 4000 + 4000  # the weight and its gradient
    assert weight.grad is not None


def test_custom_functions_that_keep_tensors_count() -> None:
    class Doubled(torch.autograd.Function):
        @staticmethod
        def forward(ctx: object, x: Tensor) -> Tensor:
            ctx.kept = x + 1  # type: ignore[attr-defined]
            return x.clone()

        @staticmethod
        def backward(ctx: object, gradient: Tensor) -> Tensor:
            return gradient * 2

    weight = nn.Parameter(torch.ones(1000))
    with LiveMemory([weight]) as memory:
        y = Doubled.apply(weight)
        assert memory.now == 3 * 4000
    assert y.requires_grad


def test_recomputing_a_layer_needs_less() -> None:
    def peak(recomputed: bool) -> int:
        layers = [nn.Sequential(*[nn.Linear(64, 64), nn.Tanh()] * 5) for _ in range(4)]
        x = torch.ones(500, 64, requires_grad=True)
        with LiveMemory([p for layer in layers for p in layer.parameters()]) as memory:
            for layer in layers:
                x = checkpoint(layer, x, use_reentrant=False) if recomputed else layer(x)
            x.sum().backward()
        return memory.peak - memory.resident

    assert peak(recomputed=True) < 0.6 * peak(recomputed=False)
