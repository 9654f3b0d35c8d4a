"""The latency that modules add to a network, measured here."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from search_spaces import KINDS, Architecture
from supernet import Supernet
from supernet.latency import measure_latencies, typical_latencies


@dataclass(frozen=True)
class LatencyCost:
    """Milliseconds of a forward pass on one image: without modules, with all, and with each kind alone."""

    without: float
    total: float
    by_kind: dict[str, float]

    def describe(self) -> str:
        """One clause, such as ``VPT +0.10 ms, Adapter +0.21 ms: 1.31 instead of 1.00 ms for one image``."""
        each = ", ".join(f"{KINDS[k].label} {ms - self.without:+.2f} ms" for k, ms in self.by_kind.items())
        return (
            f"{each}: {self.total:.2f} instead of {self.without:.2f} ms for one image here, on "
            f"{torch.get_num_threads()} {'thread' if torch.get_num_threads() == 1 else 'threads'}"
        )


def latency_cost(network: Supernet, image_size: tuple[int, int], seconds: float = 3.0) -> LatencyCost:
    """Measure ``network`` with and without each kind of its modules, on the CPU, for about ``seconds``."""
    capacity = network.capacity
    alone = [Architecture.of(capacity.depth, {kind: capacity[kind]}) for kind in capacity.kinds]
    bare = Architecture.empty(capacity.depth)
    networks = [network.extract(a).eval() for a in (bare, capacity, *alone)]
    image = torch.zeros(1, 3, *image_size)
    times = measure_latencies(networks, image, np.random.default_rng(0), rounds=(5, 30), seconds=seconds)
    without, total, *each = (float(ms) for ms in typical_latencies(times))
    return LatencyCost(without, total, dict(zip(capacity.kinds, each, strict=True)))
