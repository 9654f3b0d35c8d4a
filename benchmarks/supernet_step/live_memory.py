"""Peak memory of tensors on any device, in bytes."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class LiveMemory(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Mode that counts the storages alive after each operation; ``peak`` is the largest sum, in bytes.

    On a CPU, where torch keeps no statistics, the peak is the counterpart of
    `torch.cuda.max_memory_allocated` on a GPU, without memory that a kernel allocates and frees inside. Each
    storage counts once, whatever its number of views, from the operation that made it until nothing refers
    to it. The count thus contains weights, gradients, the state of the optimizer, tensors saved for the
    backward pass (also by custom functions) and temporary results. Hooks on saved tensors would miss the
    temporary results, of which a careless module has many.

    Pass the tensors that exist before: ``with LiveMemory([*model.parameters(), images]) as m: step()``.
    """

    def __init__(self, resident: Iterable[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = 0
        self.peak = 0
        self._alive: dict[int, int] = {}
        for tensor in resident:
            self._count(tensor)
        self.resident = self.now

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run an operation and count the new storages in its results."""
        results = func(*args, **(kwargs or {}))
        for result in tree_leaves(results):
            if isinstance(result, Tensor):
                self._count(result)
        return results

    def _count(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self._alive:
            return
        self._alive[key] = storage.nbytes()
        self.now += storage.nbytes()
        self.peak = max(self.peak, self.now)
        # torch keeps the Python object of a storage as long as the storage, so the finalizer runs at its end
        weakref.finalize(storage, self._gone, key)

    def _gone(self, key: int) -> None:
        self.now -= self._alive.pop(key, 0)
