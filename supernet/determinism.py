"""Computations on a GPU that give the same bits each time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"


@contextmanager
def deterministic_algorithms(device: torch.device) -> Iterator[None]:
    """Use deterministic kernels on a GPU, and torch's own choice again at the end.

    Without it two equal trainings on a GPU differ in their last bits: the backward pass of fused attention,
    for one, adds up in an order that varies. A CPU repeats its results at any rate, for one number of
    threads, and nothing is changed there. Attention is computed by the memory-efficient kernel or as
    written, not by flash attention. torch raises ``RuntimeError`` for an operation that has no deterministic
    kernel, such as the gradient of resampled position embeddings.

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
