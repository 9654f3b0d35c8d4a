"""Initial values that are the same on every device: drawn where the generator is, then copied."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import TypeVar

import torch
from torch import Tensor, nn

_M = TypeVar("_M", bound=nn.Module)


@contextmanager
def parameters_on(module: nn.Module, device: torch.device) -> Iterator[None]:
    """Give ``module`` stand-ins on ``device`` for parameters and buffers that lie elsewhere.

    At the end the module has its own tensors again, and the values of the stand-ins are copied into them.
    """
    replaced: list[tuple[dict[str, Tensor | None], str, Tensor]] = []
    for owner in module.modules():
        tables: list[dict[str, Tensor | None]] = [owner._parameters, owner._buffers]  # type: ignore[list-item]
        for table in tables:
            for name, value in table.items():
                if value is None or value.device == device:
                    continue
                replaced.append((table, name, value))
                old = value.detach()
                stand_in = torch.empty_like(old, device=device) if old.is_meta else old.to(device, copy=True)
                trained = isinstance(value, nn.Parameter)
                table[name] = nn.Parameter(stand_in, value.requires_grad) if trained else stand_in
    try:
        yield
    finally:
        with torch.no_grad():
            for table, name, value in replaced:
                found = table[name]
                table[name] = value
                if found is not None:
                    value.copy_(found)


def drawn_where_the_generator_is(
    reset: Callable[[_M, torch.Generator], None],
) -> Callable[[_M, torch.Generator], None]:
    """The method ``reset(self, generator)``, working on a module on any device.

    A generator draws on its own device only, and other devices' generators give other numbers.
    """

    @wraps(reset)
    def drawn(self: _M, generator: torch.Generator) -> None:
        with parameters_on(self, generator.device):
            reset(self, generator)

    return drawn
