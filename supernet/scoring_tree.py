"""Architectures as a tree of layers, and two ways to compute each of its nodes once."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

import torch
from torch import Tensor

from search_spaces import Architecture
from supernet.modules import ELASTIC
from supernet.operations import Positions
from supernet.supernet import Supernet
from supernet.transfers import to_device

AT_ONCE = 32
"""Largest number of architectures that share their computation; more are scored in groups of this size."""

Members: TypeAlias = list[int]

Outcome: TypeAlias = tuple[list[Members], Tensor]
"""Leaves of the tree, each as the indices of its architectures, with logits ``(n, B, classes)``."""

Sizes: TypeAlias = tuple[tuple[str, int], ...]
"""The modules of a layer: kinds with their positive sizes."""

_Key = TypeVar("_Key", bound=Hashable)


def groups(architectures: Sequence[Architecture]) -> Iterator[Members]:
    """Groups of up to `AT_ONCE` indices; architectures that share many layers are in the same group."""
    order = sorted(
        range(len(architectures)), key=lambda i: (before(architectures[i]), by_layer(architectures[i]))
    )
    for start in range(0, len(order), AT_ONCE):
        yield order[start : start + AT_ONCE]


def by_layer(a: Architecture) -> tuple[Sizes, ...]:
    """Modules that act in each layer, without those that act before the first layer."""
    return tuple(
        tuple(
            (kind, size)
            for kind, size in a.acting_in(layer).items()
            if size and not ELASTIC[kind].before_layers
        )
        for layer in range(a.depth)
    )


def before(a: Architecture) -> Sizes:
    """The modules that act before the first layer."""
    return tuple((kind, a[kind][0]) for kind in a.kinds if ELASTIC[kind].before_layers and a[kind][0])


class DepthFirst:
    """Computes nodes one after the other at their exact sizes, keeping one path of the tree in memory."""

    def __init__(self, supernet: Supernet, architectures: Sequence[Architecture]) -> None:
        self._supernet = supernet
        self._layers = [by_layer(a) for a in architectures]
        self._before = [before(a) for a in architectures]

    def __call__(self, x: Tensor) -> Iterator[Outcome]:
        """The logits of all architectures for normalised images ``x (B, 3, H, W)``."""
        for sizes, members in _split(list(range(len(self._before))), self._before):
            tokens, at, prompts = self._supernet.embed(x, dict(sizes))
            yield from self._below(tokens, 0, members, at, prompts)

    def _below(
        self, tokens: Tensor, index: int, members: Members, at: list[Positions], prompts: int
    ) -> Iterator[Outcome]:
        net = self._supernet
        if index == net.capacity.depth:
            yield [members], net.classify(net.pool(tokens, prompts))[None]
            return
        for sizes, group in _split(members, [self._layers[i][index] for i in members]):
            out = net.run_layer(index, tokens, dict(sizes), at)
            yield from self._below(out, index + 1, group, at, prompts)


@dataclass(frozen=True)
class _Level:
    """The nodes of one layer: the index of each node's parent in the layer below, and its modules."""

    parents: list[int]
    modules: list[dict[str, int]]

    @property
    def kinds(self) -> list[str]:
        return sorted({kind for sizes in self.modules for kind in sizes})

    def columns(self) -> list[list[int]]:
        """The parents, then the sizes of each kind."""
        return [self.parents, *([sizes.get(kind, 0) for sizes in self.modules] for kind in self.kinds)]


@dataclass(frozen=True)
class _Tree:
    """Architectures with the same modules before the first layer: levels, and members of the leaves."""

    before: Sizes
    levels: list[_Level]
    leaves: list[Members]

    @classmethod
    def of(cls, modules_before: Sizes, members: Members, layers: Sequence[tuple[Sizes, ...]]) -> _Tree:
        nodes, levels = [members], []
        for index in range(len(layers[members[0]])):
            branches = [
                (parent, dict(sizes), group)
                for parent, node in enumerate(nodes)
                for sizes, group in _split(node, [layers[i][index] for i in node])
            ]
            levels.append(_Level([p for p, _, _ in branches], [sizes for _, sizes, _ in branches]))
            nodes = [group for _, _, group in branches]
        return cls(modules_before, levels, nodes)


class LevelByLevel:
    """Computes each layer in one pass for all its nodes, with one architecture for each row.

    The tables of parents and sizes are copied to the device once for all images.
    """

    def __init__(self, supernet: Supernet, architectures: Sequence[Architecture]) -> None:
        self._supernet = supernet
        layers = [by_layer(a) for a in architectures]
        everyone = list(range(len(architectures)))
        self._trees = [
            _Tree.of(sizes, members, layers)
            for sizes, members in _split(everyone, [before(a) for a in architectures])
        ]
        columns = [c for tree in self._trees for level in tree.levels for c in level.columns()]
        table = torch.tensor([value for column in columns for value in column], dtype=torch.long)
        table = to_device(table, supernet.head.weight.device)
        self._columns = torch.split(table, [len(column) for column in columns])

    def __call__(self, x: Tensor) -> Iterator[Outcome]:
        """The logits of all architectures for normalised images ``x (B, 3, H, W)``."""
        net, columns = self._supernet, iter(self._columns)
        for tree in self._trees:
            tokens, at, prompts = net.embed(x, dict(tree.before))
            states = tokens[None]  # (nodes, B, N, d)
            for index, level in enumerate(tree.levels):
                parents = next(columns)
                sizes = {kind: next(columns).repeat_interleave(len(x)) for kind in level.kinds}
                rows = states[parents].flatten(0, 1)
                out = net.run_layer(index, rows, sizes, at)
                states = out.reshape(len(level.parents), len(x), *out.shape[1:])
            logits = net.classify(net.pool(states.flatten(0, 1), prompts))
            yield tree.leaves, logits.reshape(len(tree.leaves), len(x), -1)


def _split(members: Members, keys: Sequence[_Key]) -> Iterator[tuple[_Key, Members]]:
    """The members of each key, in the order of the keys' first occurrence."""
    groups: dict[_Key, Members] = {}
    for member, key in zip(members, keys, strict=True):
        groups.setdefault(key, []).append(member)
    yield from groups.items()
