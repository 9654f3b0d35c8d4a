"""Frozen weights in bfloat16 for as long as a computation under autocast lasts."""

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
    """The float32 parameters of a backbone that stand-ins have replaced, and by how many contexts."""

    users: int = 0
    replaced: list[tuple[nn.Module, str, nn.Parameter]] = field(default_factory=list)


_held: WeakKeyDictionary[nn.Module, _Held] = WeakKeyDictionary()
_lock = Lock()


@contextmanager
def cast_once(backbone: nn.Module, precision: Precision) -> Iterator[None]:
    """With ``bf16``, put bfloat16 copies in place of the frozen weights of ``backbone`` for a while.

    Autocast keeps the casts of trained weights for a step, but casts frozen ones again at each use. Replaced
    are weights and biases of ``nn.Linear`` and ``nn.Conv2d`` that receive no gradient here: all of them in
    inference mode or without gradients. They are what autocast would cast, so that a pass under autocast is
    the same to the last bit. Normalisations, layer scales, positions and class tokens stay float32, as in
    autocast, and so do weights that a layer changes before their use (standardised convolutions).

    The float32 parameters are set aside and not changed: what trains, saves or hashes weights belongs outside
    the context. Meanwhile the copies take half as much memory again. Contexts of several threads or within
    one another share the copies of the first.
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
    """Put copies in place of the frozen weights, and return whose they are."""
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
