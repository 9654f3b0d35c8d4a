"""Data-parallel training: several processes, each with its share of every batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn

from search_spaces import InputError
from supernet.transfers import numbers, to_device


@dataclass(frozen=True)
class Processes:
    """The processes that train together: this process is number ``rank`` of ``count``.

    The processes are those of torch's default process group (``torchrun`` creates one); without a group this
    process is alone, and every method is the identity. All processes draw the same order of images and the
    same architectures, and take their own rows, so the result is that of one process up to rounding.
    """

    rank: int
    count: int

    @classmethod
    def current(cls) -> Processes:
        """The processes of torch's default process group."""
        if not (dist.is_available() and dist.is_initialized()):
            return cls(0, 1)
        return cls(dist.get_rank(), dist.get_world_size())

    def rows(self, batch: int) -> range:
        """This process's contiguous share of ``batch`` rows; sizes of shares differ by one row at most."""
        return range(self.rank * batch // self.count, (self.rank + 1) * batch // self.count)

    def share_weights(self, network: nn.Module) -> None:
        """Copy the parameters and buffers of the first process to all, so that all start alike."""
        if self.count == 1:
            return
        with torch.no_grad():
            for value in (*network.parameters(), *network.buffers()):
                own = value.detach()
                sent = own.contiguous()
                dist.broadcast(sent, 0)
                if sent is not own:
                    own.copy_(sent)

    @torch.no_grad()
    def add_up(self, parameters: Sequence[nn.Parameter], loss: Tensor) -> Tensor:
        """Replace the gradients of a step by their sums over the processes; return the sum of ``loss ()``.

        A parameter that no process used keeps no gradient, as in one process, so that the optimizer skips it.
        One exchange carries all gradients (zeros where absent), a flag for each parameter's gradient, and the
        loss. Only a process without the gradient of some parameter has to read the flags, and waits for its
        GPU.
        """
        if self.count == 1:
            return loss
        gradients = [p.new_zeros(p.numel()) if p.grad is None else p.grad.flatten() for p in parameters]
        present = torch.tensor([float(p.grad is not None) for p in parameters])
        flat = torch.cat([*gradients, to_device(present, loss.device), loss.reshape(1)])
        dist.all_reduce(flat)
        *sums, users, total = torch.split(flat, [*(len(g) for g in gradients), len(parameters), 1])
        whole = all(parameter.grad is not None for parameter in parameters)
        used_by = [1.0] * len(parameters) if whole else numbers(users)
        for parameter, summed, used in zip(parameters, sums, used_by, strict=True):
            parameter.grad = summed.view_as(parameter) if used else None
        return total[0]

    def largest(self, value: Tensor) -> Tensor:
        """The largest ``value`` over all processes, returned in each."""
        if self.count > 1:
            dist.all_reduce(value, dist.ReduceOp.MAX)
        return value

    def all(self, value: bool, device: str) -> bool:
        """Whether ``value`` is true in every process."""
        return not bool(self.largest(torch.tensor(int(not value), device=device)))

    def require_equal_epochs(self, finished: int, device: torch.device) -> None:
        """Raise `InputError` in all processes if they resume after different epochs and would hang."""
        if self.count == 1:
            return
        extremes = torch.tensor([finished, -finished], device=device)
        dist.all_reduce(extremes, dist.ReduceOp.MAX)
        most, least = int(extremes[0]), -int(extremes[1])
        if most != least:
            raise InputError(
                f"one process resumes after {least} epochs and another after {most}; "
                "give a state file that all processes see"
            )
