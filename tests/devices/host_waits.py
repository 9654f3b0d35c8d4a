"""The calls of torch for which the host waits until a GPU has done what it was given before.

Torch on a GPU names them with ``torch.cuda.set_sync_debug_mode``. They are: reading a value, a result whose
size depends on values, and a copy to or from memory that is not page-locked.
"""

from typing import Any

import numpy as np
import torch
from marked_tensors import is_page_locked, on_gpu, tensors_in
from torch import Tensor

READING = frozenset(
    {
        Tensor.item,
        Tensor.tolist,
        Tensor.is_nonzero,
        Tensor.__bool__,
        Tensor.__contains__,
        Tensor.__float__,
        Tensor.__format__,
        Tensor.__index__,
        Tensor.__int__,
        Tensor.__repr__,
    }
)
"""Calls whose result is no tensor, and is made of values."""

_BY_VALUES = frozenset(
    {
        Tensor.nonzero,
        torch.nonzero,
        Tensor.argwhere,
        torch.argwhere,
        Tensor.masked_select,
        torch.masked_select,
        Tensor.unique,
        torch.unique,
        Tensor.unique_consecutive,
        torch.unique_consecutive,
        Tensor.bincount,
        torch.bincount,
        Tensor.equal,
        torch.equal,
        Tensor.allclose,
        torch.allclose,
    }
)
_REPEATING = frozenset({Tensor.repeat_interleave, torch.repeat_interleave})
_WITH_HOST_VALUES = frozenset({torch.tensor, torch.as_tensor, torch.asarray})
_NOT_ON_THE_HOST = (int, bool, type(None), type(...), slice)
"""What an index may consist of beside tensors without a copy of it."""


def waits(func: Any, args: Any, kwargs: dict[str, Any]) -> bool:
    """Whether the host waits for a call that computes or creates a tensor."""
    if func in _WITH_HOST_VALUES:
        goal = kwargs.get("device")
        return goal is not None and torch.device(goal).type == "cuda" and not _is_on_gpu(args[0])
    if func is Tensor.new_tensor:
        return on_gpu(args[0])
    if not any(map(on_gpu, tensors_in(args))):
        return False
    if func in (Tensor.__getitem__, Tensor.__setitem__):
        return _indexing_waits(args[0], args[1], args[2] if len(args) > 2 else None)
    if func in _REPEATING:
        return len(tensors_in(args)) > 1 and kwargs.get("output_size") is None
    return func in _BY_VALUES or (func in (torch.where, Tensor.where) and len(args) == 1)


def copying_waits(source: Tensor, to_gpu: bool, args: Any, kwargs: dict[str, Any]) -> bool:
    """Whether the host waits for a copy of ``source`` to the GPU or to the CPU.

    ``args`` and ``kwargs`` are those of the call, which may say ``non_blocking``. Only page-locked memory is
    copied without a wait.
    """
    if on_gpu(source) == to_gpu:
        return False
    return not (to_gpu and is_page_locked(source) and kwargs.get("non_blocking", False))


def _indexing_waits(target: Tensor, index: Any, value: Any) -> bool:
    parts = index if type(index) is tuple else (index,)
    moved = isinstance(value, Tensor) and value.ndim > 0 and on_gpu(value) != on_gpu(target)
    if moved or (isinstance(value, Tensor) and on_gpu(value) and not on_gpu(target)):
        return True
    if not on_gpu(target):
        return False
    by_mask = any(isinstance(part, Tensor) and part.dtype == torch.bool for part in parts)
    fills = value is not None and not (isinstance(value, Tensor) and value.ndim)  # as `masked_fill_`
    from_host = any(
        not on_gpu(part)
        if isinstance(part, Tensor)
        else not isinstance(part, (*_NOT_ON_THE_HOST, np.integer))
        for part in parts
    )
    return (by_mask and not fills) or from_host


def _is_on_gpu(value: Any) -> bool:
    return isinstance(value, Tensor) and on_gpu(value)
