"""Temporary bfloat16 copies of frozen weights for a computation under autocast."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from supernet.precision import Precision


@dataclass
class _Held:
    """The replaced float32 parameters of a backbone, and the number of contexts that use the copies."""

    users: int = 0
    replaced: list[tuple[nn.Module, str, nn.Parameter]] = field(default_factory=list)


_held: WeakKeyDictionary[nn.Module, _Held] = WeakKeyDictionary()
_lock = Lock()


@contextmanager
def cast_once(backbone: nn.Module, precision: Precision) -> Iterator[None]:
    """With ``bf16``, replace the frozen weights of ``backbone`` by bfloat16 copies within the context.

    Autocast caches the casts of trained weights for a step, but casts frozen weights again at each use. The
    weights and biases of ``nn.Linear`` and ``nn.Conv2d`` that receive no gradient are replaced (without
    gradients, all of them). Autocast would cast the same tensors, so a pass is the same to the last bit.
    Normalisations, layer scales, positions and class tokens stay float32, as in autocast, and so do weights
    that a layer changes before use (standardised convolutions).

    The float32 parameters are set aside unchanged; code that trains, saves or hashes weights must run outside
    the context. The copies take half as much memory again. Nested contexts and contexts of several threads
    share one set of copies.
    """
    if precision != "bf16":
        yield
        return
    with _lock:
        held = _held.setdefault(backbone, _Held())
        if held.users == 0:
            held.replaced = _replaced(backbone)
        held.users += 1
    try:
        yield
    finally:
        with _lock:
            held.users -= 1
            if held.users == 0:
                for owner, name, own in held.replaced:
                    setattr(owner, name, own)
                del _held[backbone]


def _replaced(backbone: nn.Module) -> list[tuple[nn.Module, str, nn.Parameter]]:
    """Replace the frozen weights by copies, and return the owner, name and original of each."""
    training, found = torch.is_grad_enabled(), []
    with torch.inference_mode(False), torch.no_grad():
        copies: dict[nn.Parameter, nn.Parameter] = {}
        for owner in backbone.modules():
            if type(owner) not in (nn.Linear, nn.Conv2d):
                continue
            for name, own in list(owner.named_parameters(recurse=False)):
                if own.dtype != torch.float32 or (training and own.requires_grad):
                    continue
                if own not in copies:
                    copies[own] = nn.Parameter(_bfloat16(own), requires_grad=False)
                setattr(owner, name, copies[own])
                found.append((owner, name, own))
    return found


def _bfloat16(value: Tensor) -> Tensor:
    return value.detach().to(torch.bfloat16)
