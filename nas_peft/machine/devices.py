"""The device that a command runs on."""

from __future__ import annotations

import torch

from search_spaces import InputError


def resolve_device(device: str) -> str:
    """``cpu`` or ``cuda``. Raises `InputError` for another name and for ``cuda`` without one."""
    if device not in ("auto", "cpu", "cuda"):
        raise InputError(f"device is '{device}'; give auto, cpu or cuda")
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("device is 'cuda', but torch finds no CUDA GPU; give --device cpu")
    return device if device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
