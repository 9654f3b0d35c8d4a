"""The largest number of bytes that tensors took at one time, on any device."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class LiveMemory(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the storages that are alive after each operation; ``peak`` is the largest sum, in bytes.

    For processors, where torch keeps no statistics: what `torch.cuda.max_memory_allocated` says of a GPU,
    less what a kernel allocates and frees inside. Each storage counts once, whatever views there are of it,
    from the operation that made it until nothing refers to it any more. So it holds weights, gradients, the
    optimizer's state, what is saved for the backward pass (also where a custom function saves it) and
    temporary results. Counting what is saved for the backward pass alone would miss the last, of which a
    careless module has many.

    Give the tensors that are there before: ``with LiveMemory([*model.parameters(), images]) as m: step()``.
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
        """Run the operation and count what is new in its results."""
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
        # torch keeps a storage's Python object as long as the storage, so this is told of its true end
        weakref.finalize(storage, self._gone, key)

    def _gone(self, key: int) -> None:
        self.now -= self._alive.pop(key, 0)
