"""Marks of tensors: which are on the simulated GPU, and which are in page-locked memory."""

import weakref
from collections.abc import Iterator
from typing import Any

from torch import Tensor

_marked: list[weakref.ref[Tensor]] = []


def on_gpu(value: Tensor) -> bool:
    """Whether a tensor has the mark of the simulated GPU."""
    return "on_gpu" in value.__dict__


def mark(value: Any, gpu: bool) -> Any:
    """Put every tensor in ``value`` on the simulated GPU, or on the CPU."""
    for tensor in tensors_in(value):
        if not gpu:
            tensor.__dict__.pop("on_gpu", None)
        elif not on_gpu(tensor):
            tensor.__dict__["on_gpu"] = True
            _marked.append(weakref.ref(tensor))
    return value


def all_marked() -> Iterator[Tensor]:
    """The tensors on the simulated GPU that anything still holds."""
    found = [reference() for reference in _marked]
    return (value for value in found if value is not None and on_gpu(value))


def forget_marks() -> None:
    """Begin with no tensor on the simulated GPU."""
    _marked.clear()


def page_locked(value: Tensor) -> Tensor:
    """Give a tensor on the CPU the mark of page-locked memory."""
    value.__dict__["page_locked"] = True
    return value


def is_page_locked(value: Tensor) -> bool:
    """Whether a tensor has the mark of page-locked memory; a view of one has not."""
    return "page_locked" in value.__dict__


def tensors_in(value: Any) -> list[Tensor]:
    """All tensors of nested tuples, lists and dicts."""
    found: list[Tensor] = []
    _collect(value, found)
    return found


def _collect(value: Any, found: list[Tensor]) -> None:
    if isinstance(value, Tensor):
        found.append(value)
    elif type(value) in (tuple, list):
        for part in value:
            _collect(part, found)
    elif type(value) is dict:
        for part in value.values():
            _collect(part, found)
    elif isinstance(value, tuple):  # of torch's named results
        _collect(tuple(value), found)
