"""Memory and faults of a GPU: what a process gives back, what it tries again, and when it must end."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import torch

from supernet import Execution

STICKY_FAULT = 70
"""The exit status of a process whose GPU context is broken (an internal error, as in ``sysexits.h``)."""

_T = TypeVar("_T")


def release_memory(device: str) -> None:
    """Give back what this process no longer uses of a GPU, so that others can have it; nothing on a CPU."""
    if device.startswith("cuda"):
        gc.collect()
        torch.cuda.empty_cache()


def limit_memory(device: str, share: float) -> None:
    """Let this process allocate at most ``share`` (0 to 1) of a GPU's memory; nothing on a CPU.

    Trainings that share a GPU would otherwise find out only by the failure of one of them.
    """
    if device.startswith("cuda"):
        torch.cuda.set_per_process_memory_fraction(share, torch.device(device))


def with_less_memory(
    run: Callable[[Execution], _T], execution: Execution, batch_size: int, device: str
) -> _T:
    """Run, and where memory does not suffice run again with twice as many micro-batches.

    At most there is one for each image. The result of a training does not depend on the number of its
    micro-batches, but for the rounding of sums. Raises ``torch.OutOfMemoryError`` where one image at a time
    is too much.
    """
    while True:
        try:
            return run(execution)
        except torch.OutOfMemoryError:
            if execution.micro_batches >= batch_size:
                raise
        release_memory(device)
        execution = replace(execution, micro_batches=min(batch_size, 2 * execution.micro_batches))


def end_if_broken(error: BaseException) -> None:
    """End this process if its GPU can no longer be used, as after an illegal access to memory.

    Every later call on that GPU would fail, also those of other trainings, so that whoever has started the
    process has to repeat what it did in a new one. Too little memory is no such fault.
    """
    if is_broken(error):
        os._exit(STICKY_FAULT)


def is_broken(error: BaseException) -> bool:
    """Whether an error says that the GPU context of this process can no longer be used.

    Torch raises ``AcceleratorError`` since version 2.8, and a ``RuntimeError`` of this text before.
    """
    if isinstance(error, torch.OutOfMemoryError):
        return False
    return type(error).__name__ == "AcceleratorError" or (
        isinstance(error, RuntimeError) and str(error).startswith("CUDA error:")
    )
