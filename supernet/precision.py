"""The floating-point formats of a computation."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, TypeAlias, get_args

import torch

from search_spaces import InputError

Precision: TypeAlias = Literal["fp32", "tf32", "bf16"]
"""``bf16`` computes forward passes under ``torch.autocast`` in bfloat16. ``tf32`` lets a GPU round the
factors of float32 products (matrix products and convolutions) to 10 bits, and equals ``fp32`` on a CPU.
Weights, the head and losses are float32 in every precision."""


def default_precision(device: torch.device | str) -> Precision:
    """The default precision of a device: ``bf16`` on a CUDA GPU, else ``fp32``."""
    return "bf16" if torch.device(device).type == "cuda" else "fp32"


@contextmanager
def computing_in(device: torch.device, precision: Precision) -> Iterator[None]:
    """Context of a forward pass in ``precision``, whatever the caller's own context.

    Raises `InputError` for an unknown precision.
    """
    with float32_products(device, precision), autocast(device, precision):
        yield


def autocast(device: torch.device, precision: Precision) -> torch.autocast:
    """Torch's autocast context: bfloat16 with ``bf16``, else switched off, whatever the caller's own context.

    Raises `InputError` for an unknown precision.
    """
    require_precision(precision)
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")


@contextmanager
def float32_products(device: torch.device, precision: Precision) -> Iterator[None]:
    """Round factors of float32 products on a GPU to TF32 with ``tf32`` only; restore the flags at the end.

    Matrix products and convolutions are treated alike; by default torch rounds only those of convolutions. A
    backward pass needs this context too.

    Raises `InputError` for an unknown precision.
    """
    require_precision(precision)
    if device.type != "cuda":
        yield
        return
    backends: tuple[Any, ...] = (torch.backends.cuda.matmul, torch.backends.cudnn)
    before = [backend.allow_tf32 for backend in backends]
    try:
        for backend in backends:
            backend.allow_tf32 = precision == "tf32"
        yield
    finally:
        for backend, value in zip(backends, before, strict=True):
            backend.allow_tf32 = value


def require_precision(precision: str) -> None:
    """Raise `InputError` for an unknown precision."""
    allowed = get_args(Precision)
    if precision not in allowed:
        raise InputError(f"precision is '{precision}'; give {', '.join(allowed[:-1])} or {allowed[-1]}")
