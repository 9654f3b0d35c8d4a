"""Torch's fake tensors on a GPU that is not there: a second opinion on the simulated one."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from supernet_stages import small_network
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode, unset_fake_temporarily
from torch.overrides import TorchFunctionMode

from supernet import Supernet

CUDA = torch.device("cuda", 0)


class AsOnAGPU(TorchFunctionMode):
    """Raises ``RuntimeError`` where a generator draws into a tensor on another device, as a GPU does.

    A backward pass, which needs a driver, only gives the parameters that a loss depends on a gradient; and
    what is decided by values that fake tensors do not have is decided one way.
    """

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func is torch.Tensor.backward:
            return _give_gradients(args[0].grad_fn)
        if func in (torch.Tensor.any, torch.equal):
            return False
        found = func(*args, **(kwargs or {}))
        generator = (kwargs or {}).get("generator")
        if generator is not None and generator.device.type != found.device.type:
            raise RuntimeError(f"a generator on {generator.device} draws into a tensor on {found.device}")
        return found


def _give_gradients(root: torch.autograd.graph.Node) -> None:
    found, waiting = {root}, [root]
    while waiting:
        node = waiting.pop()
        if hasattr(node, "variable"):
            node.variable.grad = torch.zeros_like(node.variable)
        following = {after for after, _ in node.next_functions if after is not None} - found
        found |= following
        waiting += following


@contextmanager
def fake_cuda(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fake tensors within it; what is read of a device is zero, and memory is plenty."""
    transfers = [f"supernet.{m}" for m in ("transfers", "epoch_losses", "learner", "supernet", "scoring")]
    stand_ins = {
        "numbers": lambda values: [0.0] * len(values),
        "any_of": lambda values: False,
        "free_memory": lambda device: 10**9,
        "_page_locked": lambda values: values,
    }
    for module in transfers:
        for name, stand_in in stand_ins.items():
            monkeypatch.setattr(f"{module}.{name}", stand_in, raising=False)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device=None: None)
    with FakeTensorMode(), AsOnAGPU():
        yield


def fake_network(family: str) -> Supernet:
    """A supernet of every sort of module on the fake GPU."""
    with unset_fake_temporarily():
        net = small_network(family)
    place(net, CUDA)
    return net


def place(module: nn.Module, device: torch.device) -> None:
    """Give it fake parameters and buffers on ``device``."""
    for owner in module.modules():
        for table in (owner._parameters, owner._buffers):
            for name, value in table.items():
                if value is not None:
                    fake = torch.empty(value.shape, dtype=value.dtype, device=device)
                    table[name] = nn.Parameter(fake) if isinstance(value, nn.Parameter) else fake
