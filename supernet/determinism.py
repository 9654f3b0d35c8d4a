"""Bit-for-bit repeatable computations on a GPU."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"


@contextmanager
def deterministic_algorithms(device: torch.device) -> Iterator[None]:
    """Use deterministic kernels on a GPU, and restore torch's own choice at the end.

    Without this context two equal trainings on a GPU differ in their last bits; the backward pass of fused
    attention, for example, sums in varying order. On a CPU nothing is changed: its results repeat for one
    number of threads. Attention uses the memory-efficient kernel or plain matrix products, not flash
    attention. torch raises ``RuntimeError`` for an operation without a deterministic kernel, such as the
    gradient of resampled position embeddings.

    cuBLAS reads ``CUBLAS_WORKSPACE_CONFIG`` when a process first uses it; a value given by the user is kept.
    """
    if device.type != "cuda":
        yield
        return
    before = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    workspace = os.environ.get(WORKSPACE)
    os.environ[WORKSPACE] = workspace or ":4096:8"
    torch.use_deterministic_algorithms(True)
    try:
        with sdpa_kernel([SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]):
            yield
    finally:
        torch.use_deterministic_algorithms(before, warn_only=warn_only)
        if workspace is None:
            del os.environ[WORKSPACE]
