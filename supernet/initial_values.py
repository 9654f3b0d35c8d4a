"""Initial values that are the same on every device: drawn on the generator's device, then copied."""

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
    """Replace parameters and buffers of ``module`` on other devices by stand-ins on ``device``.

    At the end the module's own tensors are restored, with the values of the stand-ins copied into them.
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
    """Decorator that makes the method ``reset(self, generator)`` work for a module on any device.

    A generator draws only on its own device, and generators of other devices give other numbers.
    """

    @wraps(reset)
    def drawn(self: _M, generator: torch.Generator) -> None:
        with parameters_on(self, generator.device):
            reset(self, generator)

    return drawn
