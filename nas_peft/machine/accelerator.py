"""Memory and faults: releasing memory, retrying with less, ending a process with a broken GPU."""

from __future__ import annotations

import ctypes
import gc
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TypeVar

import torch
from torch import nn

from supernet import Execution

STICKY_FAULT = 70
"""The exit status of a process whose GPU context is broken (an internal error, as in ``sysexits.h``)."""

_T = TypeVar("_T")


def release_memory(device: str) -> None:
    """Release this process's unused memory for other processes, that of the GPU included."""
    if device.startswith("cuda"):
        gc.collect()
        torch.cuda.empty_cache()
    return_freed_memory()


def return_freed_memory() -> None:
    """Return to the system what this process has freed and its C library keeps; only glibc can.

    After the features of 48,000 images that is 0.6 GB, which would otherwise be missing for as long as the
    process lives.
    """
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)


def leave_gpu(model: nn.Module, device: str) -> None:
    """Move ``model`` to the CPU, and release this process's GPU memory for the processes that work next."""
    model.cpu()
    release_memory(device)


def limit_memory(device: str, share: float) -> None:
    """Let this process allocate at most ``share`` (0 to 1) of a GPU's memory; no effect on a CPU.

    Without a limit, trainings that share a GPU would notice a shortage only when one of them fails.
    """
    if device.startswith("cuda"):
        torch.cuda.set_per_process_memory_fraction(share, torch.device(device))


def with_less_memory(
    run: Callable[[Execution], _T], execution: Execution, batch_size: int, device: str
) -> _T:
    """The result of ``run``, repeated with twice as many micro-batches for as long as memory runs out.

    At most each image becomes a micro-batch of its own. The number of micro-batches changes the result of a
    training only by the rounding of sums. Raises ``torch.OutOfMemoryError`` if even one image at a time is
    too much.
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
    """End this process if the error broke its GPU context, as an illegal memory access does.

    Every later call on that GPU would fail, calls of other trainings included, so the work has to be repeated
    in a new process. Running out of memory is not such a fault.
    """
    if is_broken(error):
        os._exit(STICKY_FAULT)


@contextmanager
def ending_if_broken() -> Iterator[None]:
    """Context of a worker's task, see `end_if_broken`: whoever waits for the worker replaces it."""
    try:
        yield
    except Exception as error:
        end_if_broken(error)
        raise


def is_broken(error: BaseException) -> bool:
    """Whether an error means that this process's GPU context can no longer be used.

    Torch raises ``AcceleratorError`` since version 2.8, and earlier a ``RuntimeError`` with the text tested
    here.
    """
    if isinstance(error, torch.OutOfMemoryError):
        return False
    return type(error).__name__ == "AcceleratorError" or (
        isinstance(error, RuntimeError) and str(error).startswith("CUDA error:")
    )
