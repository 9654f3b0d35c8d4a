"""Memory, time and profile of training and evaluation steps."""

from __future__ import annotations

import copy
import gc
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from benchmarks.supernet_step.contestants import SEED, Contestant, Plan
from benchmarks.supernet_step.live_memory import LiveMemory
from search_spaces.streams import stream
from supernet.precision import Precision

WARM_UP = 2
"""Steps of each contestant before a measurement."""


def peak_memory(
    plan: Plan, model: VisionTransformer, images: Tensor, labels: Tensor, precision: Precision
) -> dict[str, int]:
    """Bytes at the peak of one step and before it, with the contestant alone on the device."""
    contestant = plan.build(copy.deepcopy(model).to(images.device), len(images))
    for _ in range(WARM_UP):
        contestant.step(images, labels, precision)
    contestant.forget_gradients()
    gc.collect()
    if images.device.type == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        contestant.step(images, labels, precision)
        torch.cuda.synchronize()
        return {"peak_bytes": torch.cuda.max_memory_allocated(), "bytes_before": before}
    with LiveMemory([*contestant.tensors(), images, labels]) as memory:
        contestant.step(images, labels, precision)
    return {"peak_bytes": memory.peak, "bytes_before": memory.resident}


def step_times(
    contestants: Mapping[str, Contestant],
    images: Tensor,
    labels: Tensor,
    precision: Precision,
    repeats: int,
    on_repeat: Callable[[int], None],
) -> dict[str, list[float]]:
    """Seconds of a step of each contestant in every repeat, after `WARM_UP` steps."""

    def timed(contestant: Contestant) -> float:
        started = time.perf_counter()
        contestant.step(images, labels, precision)
        if images.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - started

    names = list(contestants)
    for name in names * WARM_UP:
        timed(contestants[name])
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for repeat in range(repeats):
        gc.collect()
        for i in stream(SEED, "order", repeat).permutation(len(names)):
            seconds[names[i]].append(timed(contestants[names[i]]))
        on_repeat(repeat + 1)
    return seconds


def results_of(seconds: Mapping[str, Sequence[float]], batch: int) -> dict[str, dict[str, Any]]:
    """Medians, images per second, and speed relative to the floor or to timm's own evaluation."""
    found: dict[str, dict[str, Any]] = {}
    for name, own in seconds.items():
        reference = "eval-timm" if name.startswith("eval-") else "floor"
        median = statistics.median(own)
        found[name] = {
            "seconds": [round(s, 6) for s in own],
            "median_seconds": median,
            "images_per_second": batch / median,
            "reference": reference,
            "speed_of_reference": speed_ratio(seconds, name, reference),
        }
    return found


def speed_ratio(seconds: Mapping[str, Sequence[float]], name: str, reference: str) -> float | None:
    """Median over repeats of the speed of ``name``, in multiples of the reference; None without one."""
    if reference not in seconds:
        return None
    return statistics.median(r / s for r, s in zip(seconds[reference], seconds[name], strict=True))


def profile(contestant: Contestant, images: Tensor, labels: Tensor, precision: Precision) -> str:
    """Table of the operators that take most of three steps."""
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as profiled

    for _ in range(WARM_UP):
        contestant.step(images, labels, precision)
    cuda = images.device.type == "cuda"
    with profiled(activities=[ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * cuda) as found:
        for _ in range(3):
            contestant.step(images, labels, precision)
            if cuda:
                torch.cuda.synchronize()
    order = "self_device_time_total" if cuda else "self_cpu_time_total"
    text: str = found.key_averages().table(sort_by=order, row_limit=25, max_name_column_width=60)
    return text
