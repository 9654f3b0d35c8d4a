"""Sums of an operation's output with the output of a module or the residual stream.

Without recorded gradients, as in evaluation, a sum overwrites the operation's output, because on a CPU new
memory of that size takes longer than the addition. With gradients nothing is changed in place.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def plus(y: Tensor, x: Tensor) -> Tensor:
    """``y + x``, written over ``y`` where no gradient is recorded and the sum has its shape and dtype."""
    if torch.is_grad_enabled():  # first, because torch cannot compile what follows
        return y + x
    if y.shape == x.shape and y.dtype == x.dtype:  # nearly always; torch's own rules take longer to ask
        return y.add_(x)
    shape = torch.broadcast_shapes(y.shape, x.shape)  # type: ignore[no-untyped-call]
    fits = y.dtype == torch.result_type(y, x) and y.shape == shape
    return y.add_(x) if fits else y + x


def own(x: Tensor) -> Tensor:
    """``x`` for sums that may be written over it, a copy where no gradient is recorded."""
    return x if torch.is_grad_enabled() else x.clone()


def product(a: Tensor, b: Tensor, bias: Tensor | None = None) -> Tensor:
    """``a @ b + bias`` of ``a (…, r)`` and ``b (r, n)``; ``bias`` is ``(n,)`` or broadcast."""
    if bias is None:
        return a @ b
    if bias.ndim == 1:
        return F.linear(a, b.T, bias)
    result = a @ b
    return result + bias.to(result.dtype)


def plus_product(y: Tensor, a: Tensor, b: Tensor, bias: Tensor | None = None, start: int = 0) -> Tensor:
    """``y + a @ b + bias``, with ``b (r, n)`` for n channels of ``y (…, m)`` from ``start`` on.

    Where no gradient is recorded, the product is added in the multiplication itself, over ``y``.
    """
    width, n = y.shape[-1], b.shape[-1]
    alike = a.shape[:-1] == y.shape[:-1] and a.dtype == y.dtype and y.is_contiguous()
    if torch.is_grad_enabled() or not alike:
        added = product(a, b, bias)
        return plus(y, F.pad(added, (start, width - start - n)) if n < width else added)
    channels = y.view(-1, width)[:, start : start + n]
    # not addmm_, which torch's counter of operations does not know
    torch.addmm(channels, a.reshape(-1, a.shape[-1]), b.to(y.dtype), out=channels)
    if bias is not None:
        y[..., start : start + n].add_(bias)
    return y
