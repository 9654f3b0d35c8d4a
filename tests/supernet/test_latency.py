"""Timing side by side: what sleeps longer takes longer, whatever the machine does meanwhile."""

import time

import numpy as np
import pytest
import torch

from search_spaces.streams import stream
from supernet.latency import REPEATS, WARM_UP, measure_latencies, typical_latencies


def test_it_times_each_network_in_every_round():
    calls = [0, 0]

    def sleeper(i: int, seconds: float):
        def network(images: torch.Tensor) -> torch.Tensor:
            calls[i] += 1
            time.sleep(seconds)
            return images

        return network

    times = measure_latencies(
        [sleeper(0, 0.001), sleeper(1, 0.01)], torch.zeros(1), stream(0, "test"), rounds=(3, 3)
    )
    assert times.shape == (3, 2)
    assert calls == [WARM_UP + 3 * REPEATS] * 2
    assert (times[:, 0] >= 1).all()
    assert (times[:, 1] >= 10).all()


def test_it_ends_after_its_seconds():
    def sleeper(images: torch.Tensor) -> torch.Tensor:
        time.sleep(0.005)
        return images

    rounds: list[int] = []
    times = measure_latencies(
        [sleeper], torch.zeros(1), stream(0, "test"), rounds=(2, 10**6), seconds=0.05, on_round=rounds.append
    )
    assert 2 <= len(times) <= 5
    assert rounds == list(range(1, len(times) + 1))


def test_slow_rounds_and_single_outliers_do_not_count():
    true = np.array([4.0, 5.0, 6.0, 8.0])
    slowness = np.array([1, 1, 1.02, 3, 1, 1, 0.98, 2.5, 1])
    times = np.outer(slowness, true)
    times[0, 1] *= 9
    times[4, 3] *= 7
    assert typical_latencies(times) == pytest.approx(true, rel=0.01)
