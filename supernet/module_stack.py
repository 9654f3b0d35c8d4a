"""Modules of one kind and layer that belong to several models, run as one."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.func import functional_call

from supernet.modules import ElasticModule, Grid, Place, Prompts, Size


def divided(x: Tensor, models: int) -> Tensor:
    """Rows of all models, ``(M·B, ...)`` to ``(M, B, ...)``."""
    return x.reshape(models, -1, *x.shape[1:])


class ParameterStack:
    """The parameters of G modules in one storage ``(G, ...)``, of which they become views.

    Args:
        modules: the owners of the parameters; they remain usable.
        like: the largest module, which gives the shapes. Its values fill the storage beyond the size of a
            smaller module, because a kind may divide by the values there.
    """

    def __init__(self, modules: Sequence[nn.Module], like: nn.Module) -> None:
        self.values = {
            name: nn.Parameter(torch.stack([value.detach()] * len(modules)))
            for name, value in like.named_parameters()
        }
        self._owners = [dict(module.named_parameters()) for module in modules]
        self._bound: list[str] = []
        with torch.no_grad():
            shared = self.exact({name: value.data for name, value in self.values.items()})
            for own, views in zip(self._owners, shared, strict=True):
                for name, parameter in own.items():
                    views[name].copy_(parameter)
                    parameter.data = views[name]
                    parameter.grad = None

    def exact(self, stacked: Mapping[str, Tensor]) -> list[dict[str, Tensor]]:
        """Each module's views of ``stacked``, tensors ``(G, ...)`` by name, at the module's own size."""
        return [{name: value[g] for name, value in stacked.items()} for g in range(len(self._owners))]

    def __len__(self) -> int:
        return len(self._owners)

    def gradients(self) -> list[Tensor]:
        """The stacked gradients, without parameters that have none."""
        return [value.grad for value in self.values.values() if value.grad is not None]

    def bind_gradients(self) -> None:
        """Make each module's gradients views of the stacked gradients; absent gradients stay absent."""
        found = [name for name, value in self.values.items() if value.grad is not None]
        if found == self._bound:  # already bound to the same storage
            return
        gradients = {
            name: torch.zeros_like(value) if value.grad is None else value.grad
            for name, value in self.values.items()
        }
        for own, views in zip(self._owners, self.exact(gradients), strict=True):
            for name in found:
                own[name].grad = views[name]
        self._bound = found

    def dissolve(self) -> None:
        """Give each module its own parameters again, with the present values."""
        for own in self._owners:
            for parameter in own.values():
                parameter.data, parameter.grad = parameter.data.clone(), None


class HeadStack(ParameterStack):
    """The heads of M models."""

    def __init__(self, heads: Sequence[nn.Linear]) -> None:
        super().__init__(heads, heads[0])

    def __call__(self, features: Tensor) -> Tensor:
        """Logits ``(M, B, classes)`` of features ``(M, B, d)``, in float32 as in `Supernet.classify`."""
        weight, bias = self.values["weight"], self.values["bias"]
        with torch.autocast(features.device.type, enabled=False):
            return torch.baddbmm(bias[:, None], features.to(weight.dtype), weight.transpose(1, 2))


class ModuleStack(ParameterStack):
    """The modules of one kind and layer of G models.

    A stack works for every registered kind, by `torch.vmap` over the kind's own methods. If all sizes are
    equal, the size is passed as a number; otherwise modules run at the largest size under the kind's masks,
    and values beyond a model's own size have no effect. Buffers are those of the largest module.
    """

    def __init__(self, modules: Sequence[ElasticModule]) -> None:
        largest = max(modules, key=lambda module: module.capacity)
        self.capacity = largest.capacity
        self._sizes = [module.capacity for module in modules]
        self._call = _Call(copy.deepcopy(largest).requires_grad_(False))
        super().__init__(modules, largest)
        self._size_tensor = torch.tensor(self._sizes, device=next(iter(self.values.values())).device)

    def exact(self, stacked: Mapping[str, Tensor]) -> list[dict[str, Tensor]]:
        """See `ParameterStack.exact`."""
        return [
            self._called({name: value[g] for name, value in stacked.items()}, "tensors_at", (size,))
            for g, size in enumerate(self._sizes)
        ]

    def run(
        self,
        method: str,
        tensors: Sequence[Tensor],
        *,
        images: int,
        place: Place | None = None,
        last: tuple[Any, ...] = (),
    ) -> Tensor:
        """Results ``(G, ...)`` of a method called with ``place`` if given, ``tensors``, size and ``last``.

        Args:
            method: name of the kind's method.
            tensors: arguments ``(G, ...)``, a row for each model.
            images: number of images of a model; length of the size argument if sizes differ.
            place: first argument of the method, if given.
            last: further arguments, the same for all models.
        """
        before = () if place is None else (place,)
        if len(self._sizes) == 1:
            values = {name: value[0] for name, value in self.values.items()}
            arguments = (*before, *(t[0] for t in tensors), self.capacity, *last)
            alone: Tensor = self._called(values, method, arguments)
            return alone[None]
        uniform = len(set(self._sizes)) == 1

        def one(values: dict[str, Tensor], size: Tensor, *rows: Tensor) -> Tensor:
            given = self.capacity if uniform else size.expand(images)
            return cast(Tensor, self._called(values, method, (*before, *rows, given, *last)))

        result: Tensor = torch.vmap(one)(dict(self.values), self._size_tensor, *tensors)
        return result

    def _called(self, values: Mapping[str, Tensor], method: str, arguments: tuple[Any, ...]) -> Any:
        named = {f"module.{name}": value for name, value in values.items()}
        return functional_call(self._call, named, (method, *arguments))


class _Call(nn.Module):
    """A module whose ``forward`` calls any method of another, for `functional_call`."""

    def __init__(self, module: ElasticModule) -> None:
        super().__init__()
        self.module = module

    def forward(self, method: str, *arguments: Any) -> Any:
        return getattr(self.module, method)(*arguments)


class StackedModule(ElasticModule):
    """The modules of one kind and layer of all M models of a pack, used like one module.

    The batch holds rows ``m·B`` to ``(m+1)·B`` of model m; only the rows of models that have the kind are
    changed. With ``together`` all modules are one stack; otherwise there is a stack for each size, with less
    arithmetic and more operations.
    """

    def __init__(self, modules: Sequence[ElasticModule | None], together: bool) -> None:
        nn.Module.__init__(self)
        present = [(m, module) for m, module in enumerate(modules) if module is not None]
        first = present[0][1]
        self.kind, self.places, self.on_grid = first.kind, first.places, first.on_grid  # type: ignore[misc]
        self.shape, self.models = first.shape, len(modules)
        self.capacity = max(module.capacity for _, module in present)
        groups: dict[int, list[int]] = {}
        for m, module in present:
            groups.setdefault(0 if together else module.capacity, []).append(m)
        self.stacks = [
            ModuleStack([cast(ElasticModule, modules[m]) for m in members]) for members in groups.values()
        ]
        absent = [m for m, module in enumerate(modules) if module is None]
        device = next(first.parameters()).device
        self._rows = [_Rows(members, device) for members in groups.values()]
        self._absent = _Rows(absent, device) if absent else None
        order = [m for members in groups.values() for m in members] + absent
        in_order = order == sorted(order)
        self._back = None if in_order else torch.tensor(order, device=device).argsort()

    def reset(self, generator: torch.Generator) -> None:
        """Raise ``TypeError``: only the models' own modules can be reset."""
        raise TypeError("a stack holds the weights of other modules; reset those")

    def forward(self, place: Place, x: Tensor, y: Tensor, size: Any, *last: Grid | int | None) -> Tensor:
        """See `ElasticModule.forward`; ``size`` is not read."""
        xs, ys = divided(x, self.models), divided(y, self.models)
        images = ys.shape[1]
        parts = [
            stack.run("forward", (rows.of(xs), rows.of(ys)), images=images, place=place, last=last)
            for stack, rows in zip(self.stacks, self._rows, strict=True)
        ]
        return self._joined(parts, ys).flatten(0, 1)

    def _joined(self, parts: list[Tensor], others: Tensor) -> Tensor:
        """Join ``parts`` to ``(M, ...)`` in the order of the models; the rest comes from ``others``."""
        if self._absent is not None:
            parts = [*parts, self._absent.of(others)]
        joined = parts[0] if len(parts) == 1 else torch.cat(parts)
        return joined if self._back is None else joined.index_select(0, self._back)


class StackedTokens(StackedModule):
    """Prompt tokens of all models: `ShallowPrompts`."""

    def __init__(self, modules: Sequence[ElasticModule | None]) -> None:
        super().__init__(modules, together=True)
        sizes = [0 if module is None else module.capacity for module in modules]
        self._uniform = len(set(sizes)) == 1
        device = next(iter(self.stacks[0].values.values())).device
        self._sizes = torch.tensor(sizes, device=device)

    def prompts(self, size: Any) -> Tensor:
        """Prompts ``(M, p, d)`` with the largest p, see `sizes`; ``size`` is not read."""
        tokens = self.stacks[0].run("prompts", (), images=1)
        if self._absent is None:
            return tokens
        return self._joined([tokens], tokens.new_zeros(self.models, *tokens.shape[1:]))

    def sizes(self, images: int) -> Size:
        """The number of prompts of all models, or of each of ``images`` images of each, ``(M·images,)``."""
        return self.capacity if self._uniform else self._sizes.repeat_interleave(images)


class StackedPrompts(StackedTokens, Prompts):
    """`Prompts` of one layer, of all models."""


class StackedPositions(StackedModule):
    """`LoRAPositions` of all models."""

    def __init__(self, modules: Sequence[ElasticModule | None]) -> None:
        super().__init__(modules, together=True)

    def added(self, resampled: Callable[[Tensor], Tensor]) -> Tensor:
        """Addition to the models' tokens, ``(M, 1, N', d)``; ``resampled`` is applied to ``(c, N)``."""
        (stack,) = self.stacks
        table = divided(resampled(stack.values["down"].flatten(0, 1)), len(stack))
        added = stack.run("added", (table,), images=1)
        added = added.reshape(len(added), 1, *added.shape[-2:])
        if self._absent is None:
            return added
        return self._joined([added], added.new_zeros(self.models, *added.shape[1:]))


class _Rows:
    """Selection of some models' rows: a view of consecutive rows, else a copy."""

    def __init__(self, members: Sequence[int], device: torch.device) -> None:
        self._start, self._count = members[0], len(members)
        contiguous = list(members) == list(range(members[0], members[0] + len(members)))
        self._indices = None if contiguous else torch.tensor(members, device=device)

    def of(self, x: Tensor) -> Tensor:
        if self._indices is not None:
            return x.index_select(0, self._indices)
        return x if self._count == len(x) else x.narrow(0, self._start, self._count)
