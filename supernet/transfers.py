"""Transfers between the host and a GPU, with few waits."""

from __future__ import annotations

import torch
from torch import Tensor

from supernet.images import Images, TwoSizes

RESIDENT_SHARE = 0.4
"""The share of a GPU's free memory that the images of a training may take."""

_ROWS_COPIED = 1024  # images on their way at once, where they are not in memory


def to_device(values: Tensor, device: torch.device) -> Tensor:
    """Copy ``values`` to ``device``; to a GPU through page-locked memory, without a wait of the host."""
    if device.type != "cuda" or values.device.type != "cpu":
        return values.to(device)
    return _page_locked(values).to(device, non_blocking=True)


def resident(images: Images, device: torch.device) -> Images:
    """Copy ``images`` to a GPU if they take at most `RESIDENT_SHARE` of its free memory.

    Otherwise, and for other devices, return ``images`` unchanged.
    """
    if device.type != "cuda" or images.device.type != "cpu":
        return images
    if images.nbytes > RESIDENT_SHARE * free_memory(device):
        return images
    return _all_on(images, device)


def _all_on(images: Images, device: torch.device) -> Images:
    if isinstance(images, TwoSizes):
        return TwoSizes(_all_on(images.images, device), _all_on(images.larger, device))
    if isinstance(images, Tensor):
        return to_device(images, device)
    copy = torch.empty(images.shape, dtype=torch.uint8, device=device)
    for start in range(0, len(images), _ROWS_COPIED):
        copy[start : start + _ROWS_COPIED] = to_device(images[start : start + _ROWS_COPIED], device)
    return copy


def free_memory(device: torch.device) -> int:
    """Free bytes of a GPU, including the unused part of torch's cache."""
    free, _ = torch.cuda.mem_get_info(device)
    return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)


def any_of(values: Tensor) -> bool:
    """Whether any element is true. The host waits for the device."""
    return bool(values.any())


def numbers(values: Tensor) -> list[float]:
    """The elements of ``values (n,)``. The host waits for the device."""
    found: list[float] = values.tolist()
    return found


def _page_locked(values: Tensor) -> Tensor:
    return values.pin_memory()
