"""Training on several processes at once, each with its share of every batch."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from search_spaces import InputError


@dataclass(frozen=True)
class Processes:
    """The processes that train together, and which of them this one is: ``rank`` of ``count``.

    They are those of torch's default process group (``torchrun`` makes one); without a group this process is
    alone, and everything here is the identity. All draw the same order of images and the same architectures,
    and take their own rows, so that the result is that of one process up to the rounding of sums.
    """

    rank: int
    count: int

    @classmethod
    def current(cls) -> Processes:
        """As torch's default process group says."""
        if not (dist.is_available() and dist.is_initialized()):
            return cls(0, 1)
        return cls(dist.get_rank(), dist.get_world_size())

    def rows(self, batch: int) -> range:
        """This process's contiguous share of ``batch`` rows; shares differ by one row at most."""
        return range(self.rank * batch // self.count, (self.rank + 1) * batch // self.count)

    def parallel(self, network: nn.Module) -> nn.Module:
        """The network with gradients that are averaged over the processes, and the weights of the first.

        Parameters that no process used have no gradient, as in one process, so that the optimizer leaves
        them alone.
        """
        if self.count == 1:
            return network
        return DistributedDataParallel(_WithOneUnused(network), find_unused_parameters=True)

    def exchange(self, network: nn.Module, now: bool) -> AbstractContextManager[None]:
        """The context of one forward and backward pass of `parallel`'s network in a step of several.

        Gradients add up in each process, and with ``now``, in the last one, their sums are averaged.
        """
        if self.count == 1:
            return nullcontext()
        if now:
            return _strides_ignored()
        return cast(DistributedDataParallel, network).no_sync()

    def total(self, value: Tensor) -> Tensor:
        """The sum of ``value`` over the processes; each gets it."""
        if self.count > 1:
            dist.all_reduce(value)
        return value

    def largest(self, value: Tensor) -> Tensor:
        """The largest ``value`` of the processes; each gets it."""
        if self.count > 1:
            dist.all_reduce(value, dist.ReduceOp.MAX)
        return value

    def require_equal_epochs(self, finished: int, device: torch.device) -> None:
        """Raise `InputError` in all processes unless all have as many epochs behind them; else they hang."""
        if self.count == 1:
            return
        extremes = torch.tensor([finished, -finished], device=device)
        dist.all_reduce(extremes, dist.ReduceOp.MAX)
        most, least = int(extremes[0]), -int(extremes[1])
        if most != least:
            raise InputError(
                f"one process goes on after {least} epochs and another after {most}; "
                "give a state file that all processes see"
            )


class _WithOneUnused(nn.Module):
    """A network beside a parameter that nothing uses.

    torch warns once where its search for unused parameters finds none; whether there are any depends on what
    a step draws.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.unused = nn.Parameter(next(network.parameters()).new_zeros(()))

    def forward(self, *inputs: object) -> Tensor:
        return cast(Tensor, self.network(*inputs))


@contextmanager
def _strides_ignored() -> Iterator[None]:
    with warnings.catch_warnings():  # those of an axis of length 1 mean nothing, but differ for class tokens
        warnings.filterwarnings("ignore", message="Grad strides do not match bucket view strides")
        yield
