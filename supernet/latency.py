"""Latency of networks' forward passes, measured side by side."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

WARM_UP = 2
REPEATS = 3
"""Passes of a network in a round; their median counts."""


@torch.inference_mode()
def measure_latencies(
    networks: Sequence[Callable[[Tensor], Tensor]],
    images: Tensor,
    rng: np.random.Generator,
    *,
    rounds: tuple[int, int] = (7, 50),
    seconds: float = 30.0,
    on_round: Callable[[int], None] = lambda done: None,
) -> NDArray[np.float64]:
    """Milliseconds of each network on the batch ``images``: ``(rounds, networks)``.

    In each round every network runs once (`REPEATS` passes, of which the median counts), in a newly drawn
    order, so that a temporary slowdown of the machine affects all networks. ``rounds`` are the fewest and the
    most rounds; between them measuring ends after ``seconds``. Each network first runs `WARM_UP` times, for
    one-time work (allocations, choice of kernels). A time on a GPU ends when the GPU has finished.
    """
    found: list[NDArray[np.float64]] = []

    def now() -> float:
        if images.device.type == "cuda":
            torch.cuda.synchronize(images.device)
        return time.perf_counter()

    for network in networks:
        for _ in range(WARM_UP):
            network(images)
    started = now()
    while len(found) < rounds[0] or (len(found) < rounds[1] and now() - started < seconds):
        row = np.empty(len(networks))
        for i in rng.permutation(len(networks)):
            passes = []
            for _ in range(REPEATS):
                before = now()
                networks[i](images)
                passes.append(1000 * (now() - before))
            row[i] = np.median(passes)
        found.append(row)
        on_round(len(found))
    return np.stack(found)


def typical_latencies(times: NDArray[np.float64], sweeps: int = 10) -> NDArray[np.float64]:
    """Milliseconds of each network in a usual round ``(networks,)``, from ``(rounds, networks)``.

    The time of a network in a round is modelled as the product of the network's time and the round's
    slowness, by median polish of the logarithms (Tukey 1977); the slowness is then that of a median round.
    """
    rest = np.log(times)
    network = np.zeros(times.shape[1])
    slowness = np.zeros(times.shape[0])
    for _ in range(sweeps):
        step = np.median(rest, axis=0)
        network, rest = network + step, rest - step
        step = np.median(rest, axis=1)
        slowness, rest = slowness + step, rest - step[:, None]
    usual: NDArray[np.float64] = np.exp(network + np.median(slowness))
    return usual
