"""A GPU made of the CPU: tensors with values that claim to be on CUDA and do not mix with others.

Torch's `FakeTensorMode` holds no values, so only code that never reads one runs on it. Here a tensor "on
the GPU" is one in ordinary memory with a mark, and every call of torch passes `SimulatedGPU`, which raises
where a GPU would: two devices in one operation, a generator of another device, numpy. So whole stages of the
tool run, with backward passes, at half the speed of the CPU, and end with its numbers.

Operations that torch calls by itself are not seen: those of a backward pass, and those under ``torch.vmap``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from host_waits import READING, copying_waits, waits
from marked_tensors import all_marked, forget_marks, mark, on_gpu, page_locked, tensors_in
from torch import Tensor
from torch.overrides import TorchFunctionMode

CUDA = torch.device("cuda", 0)
CPU = torch.device("cpu")
MEMORY = 10**9
"""Bytes of the simulated GPU."""

_DEVICE = Tensor.device.__get__
_INDEXED = {Tensor.__getitem__, Tensor.__setitem__, Tensor.index_put_}


def bytes_in_use() -> int:
    """Bytes of the tensors on the simulated GPU that anything still holds."""
    return sum({value.data_ptr(): value.nbytes for value in all_marked()}.values())


class SimulatedGPU(TorchFunctionMode):
    """Checks and marks in every call of torch.

    ``waits`` counts the calls for which the host would wait (`host_waits`). Memory runs out where one tensor
    has more bytes than ``limit``; ``largest`` is the size of the largest so far.
    """

    def __init__(self) -> None:
        super().__init__()
        self.waits = 0
        self.limit = MEMORY
        self.largest = 0
        self.unseen = 0
        """Calls of torch now running whose own operations are not checked."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func == _DEVICE:
            return CUDA if on_gpu(args[0]) else func(*args)
        if (special := _SPECIAL.get(func)) is not None:
            return special(self, func, args, kwargs or {})
        found = tensors_in((args, kwargs) if kwargs else args)
        gpu = any(map(on_gpu, found))
        if not self.unseen:
            self.waits += waits(func, args, kwargs or {})
        if gpu and not self.unseen:
            _require_one_device(func, args, found)
        if kwargs:
            if (device := kwargs.get("device")) is not None:
                gpu = torch.device(device).type == "cuda"
                kwargs = kwargs | {"device": CPU} if gpu else kwargs
            if gpu and isinstance(kwargs.get("generator"), torch.Generator):
                raise RuntimeError("Expected a 'cuda' device type for generator but found 'cpu'")
            result = func(*args, **kwargs)
        else:
            result = func(*args)
        if gpu:
            mark(result, True)
            if isinstance(result, Tensor) and result.nbytes > self.largest:
                self._take(result.nbytes)
        return result

    def _take(self, size: int) -> None:
        if size > self.limit:
            raise torch.OutOfMemoryError(f"the simulated GPU has no {size} bytes")
        self.largest = size

    def _read(self, func: Any, args: Any, kwargs: Any) -> Any:
        self.waits += any(map(on_gpu, tensors_in(args)))
        return func(*args, **kwargs)

    def _numpy(self, func: Any, args: Any, kwargs: Any) -> Any:
        if on_gpu(args[0]):
            raise TypeError("can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() first")
        return func(*args, **kwargs)

    def _set_data(self, func: Any, args: Any, kwargs: Any) -> None:
        func(*args)
        mark(args[0], on_gpu(args[1]))

    def _backward(self, func: Any, args: Any, kwargs: Any) -> Any:
        with self._unchecked():
            return func(*args, **kwargs)

    def _pinned(self, func: Any, args: Any, kwargs: Any) -> Any:
        return page_locked(args[0].clone())

    def _is_cuda(self, func: Any, args: Any, kwargs: Any) -> bool:
        return on_gpu(args[0])

    def _is_cpu(self, func: Any, args: Any, kwargs: Any) -> bool:
        return not on_gpu(args[0])

    def _plainly(self, func: Any, args: Any, kwargs: Any) -> Any:
        return func(*args, **kwargs)

    def _move(self, func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        """Copies between devices; a copy to the same one is none, as in torch."""
        value = args[0]
        if func is Tensor.copy_:
            self.waits += copying_waits(args[1], on_gpu(value), args, kwargs)
            return func(*args, **kwargs)
        if func is Tensor.cpu:
            goal: Any = CPU
        elif func is Tensor.cuda:
            goal = CUDA
        else:
            args, kwargs, goal = _without_device(args, kwargs)
        before = on_gpu(value)
        after = before if goal is None else goal.type == "cuda"
        self.waits += copying_waits(value, after, args, kwargs)
        found = value if func in (Tensor.cpu, Tensor.cuda) else func(*args, **kwargs)
        if before != after:
            found = found.clone() if found is value or found.data_ptr() == value.data_ptr() else found
        return found if found is value else mark(found, after)

    @contextmanager
    def _unchecked(self) -> Iterator[None]:
        self.unseen += 1
        try:
            yield
        finally:
            self.unseen -= 1

    def vmapped(self, vmap: Callable[..., Any]) -> Callable[..., Any]:
        """``torch.vmap`` with results on the device of the arguments."""

        def vmap_on_a_gpu(function: Callable[..., Any], *options: Any, **more: Any) -> Callable[..., Any]:
            mapped = vmap(function, *options, **more)

            def call(*args: Any, **kwargs: Any) -> Any:
                gpu = any(on_gpu(tensor) for tensor in tensors_in((args, kwargs)))
                with self._unchecked():
                    found = mapped(*args, **kwargs)
                return mark(found, gpu)

            return call

        return vmap_on_a_gpu


_SPECIAL: dict[Any, Callable[..., Any]] = {
    **dict.fromkeys((Tensor.to, Tensor.cpu, Tensor.cuda, Tensor.copy_, Tensor.type_as), SimulatedGPU._move),
    **dict.fromkeys(READING, SimulatedGPU._read),
    **dict.fromkeys((torch._has_compatible_shallow_copy_type, torch.result_type), SimulatedGPU._plainly),
    **dict.fromkeys((Tensor.numpy, Tensor.__array__), SimulatedGPU._numpy),
    Tensor.backward: SimulatedGPU._backward,
    Tensor.pin_memory: SimulatedGPU._pinned,
    Tensor.data.__set__: SimulatedGPU._set_data,
    Tensor.is_cuda.__get__: SimulatedGPU._is_cuda,
    Tensor.is_cpu.__get__: SimulatedGPU._is_cpu,
}
"""Calls that move, read or describe; the rest compute."""


def _without_device(args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any], torch.device | None]:
    """The arguments of `Tensor.to` with the CPU as device, and the device that they named."""
    goal, found = None, [args[0]]
    for argument in args[1:]:
        if isinstance(argument, torch.device | str):
            goal = torch.device(argument)
            found.append(CPU)
        else:
            found.append(argument)
            if isinstance(argument, Tensor):
                goal = CUDA if on_gpu(argument) else CPU
    if kwargs.get("device") is not None:
        goal = torch.device(kwargs["device"])
        kwargs = kwargs | {"device": CPU}
    return tuple(found), kwargs, goal


def _require_one_device(func: Any, args: Any, tensors: list[Tensor]) -> None:
    if func in _INDEXED:
        indices = tensors_in(args[1])
        if on_gpu(args[0]):  # by indices of any device
            tensors = [tensor for tensor in tensors if not any(tensor is index for index in indices)]
        if not indices and func == Tensor.__setitem__:  # a copy
            return
    devices = {on_gpu(tensor) for tensor in tensors if tensor.ndim}
    if len(devices) > 1 or (devices == {False} and any(on_gpu(t) for t in tensors)):
        raise RuntimeError(
            "Expected all tensors to be on the same device, but found at least two devices, cuda:0 and cpu! "
            f"({getattr(func, '__name__', func)})"
        )


@contextmanager
def simulated_gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[SimulatedGPU]:
    """A GPU within it, whose memory is never short."""
    gpu = SimulatedGPU()
    forget_marks()

    def limit(share: float) -> None:
        gpu.limit, gpu.largest = round(share * MEMORY), 0

    stand_ins: dict[str, Callable[..., Any]] = {
        "device_count": lambda: 1,
        "get_device_name": lambda device=None: "simulated GPU",
        "mem_get_info": lambda device=None: (MEMORY, MEMORY),
        "synchronize": lambda device=None: None,
        "empty_cache": lambda: None,
        "reset_peak_memory_stats": lambda device=None: setattr(gpu, "largest", 0),
        "set_per_process_memory_fraction": lambda share, device=None: limit(share),
        "max_memory_allocated": lambda device=None: gpu.largest,
        "memory_reserved": lambda device=None: 0,
        "memory_allocated": lambda device=None: 0,
    }
    for name, stand_in in stand_ins.items():
        monkeypatch.setattr(torch.cuda, name, stand_in)
    make, autocast = Tensor._make_subclass, torch.autocast.__init__
    monkeypatch.setattr(
        Tensor, "_make_subclass", staticmethod(lambda cls, data, *a: mark(make(cls, data, *a), on_gpu(data)))
    )
    monkeypatch.setattr(
        torch.autocast,
        "__init__",
        lambda self, device_type, *a, **k: autocast(self, "cpu", *a, **k),
    )
    monkeypatch.setattr(torch, "vmap", gpu.vmapped(torch.vmap))
    load = torch.load
    monkeypatch.setattr(
        torch,
        "load",
        lambda file, *, map_location, **more: mark(
            load(file, map_location="cpu", **more), torch.device(map_location).type == "cuda"
        ),
    )
    with gpu:
        yield gpu
