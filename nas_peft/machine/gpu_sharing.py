"""How many separate trainings share a GPU, by how busy one of them keeps it and how much memory it takes."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.profiler import ProfilerActivity, profile

MOST = 8
"""Trainings that share a GPU at most."""
OWN_CONTEXT = 2**30
"""Bytes of GPU memory that a process takes beside torch's allocations; about 0.9 GB on an H100."""
SPARE = 1.2
"""Memory of a training as a multiple of its measured peak: its validation and the allocator's leftovers."""
STEPS_OF_RAY = 10_000
"""Ray counts GPUs in ten-thousandths: seven times 0.1429 would be more than one."""


@dataclass(frozen=True)
class Use:
    """What a training takes of a GPU: ``busy`` is the share of its time in which kernels run, 0 to 1.

    ``memory`` is the peak of torch's allocations in bytes.
    """

    busy: float
    memory: int


def measured_use(run: Callable[[], object], device: torch.device) -> Use | None:
    """What ``run`` takes of a GPU; it is called twice, after a call of the caller's own.

    ``None`` where torch's profiler sees no kernel, as on a CPU, or where the driver does not permit it.
    """
    if device.type != "cuda":
        return None
    torch.cuda.synchronize(device)
    torch.cuda.reset_peak_memory_stats(device)
    started = time.perf_counter()
    run()
    torch.cuda.synchronize(device)
    seconds = time.perf_counter() - started
    memory = int(torch.cuda.max_memory_allocated(device))
    with profile(activities=[ProfilerActivity.CUDA], acc_events=True) as profiler:
        run()
        torch.cuda.synchronize(device)
    kernels = [event for event in profiler.events() or () if event.device_type.name == "CUDA"]
    busy = sum(event.device_time_total for event in kernels) / 1e6 / seconds
    return Use(min(1.0, busy), memory) if busy > 0 else None


def trainings_on_a_gpu(use: Use | None, memory: int, cores: int) -> int:
    """The number of trainings to share a GPU of ``memory`` bytes; 1 where their use is unknown.

    As many as keep it busy together (in a small network the host starts kernels more slowly than the GPU
    ends them), at most `MOST`, one for each of ``cores``, and as many as its memory holds.
    """
    if use is None:
        return 1
    room = int(memory / (SPARE * use.memory + OWN_CONTEXT))
    return max(1, min(MOST, cores, room, int(1 / use.busy)))


def share_of(together: int) -> float:
    """The share of a GPU that each of ``together`` trainings takes, such that Ray runs them all at once."""
    return STEPS_OF_RAY // together / STEPS_OF_RAY
