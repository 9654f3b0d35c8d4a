"""Scoring many subnets on the same images, computing once what they have in common."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from typing import TypeAlias, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from search_spaces import Architecture
from supernet.evaluation import Evaluation
from supernet.execution import Precision, autocast
from supernet.modules import ELASTIC
from supernet.operations import Positions
from supernet.preprocessing import Preprocessing
from supernet.supernet import Supernet

AT_ONCE = 32
"""Architectures that share their computation; more are scored in groups of as many."""

Members: TypeAlias = list[int]

Sizes: TypeAlias = tuple[tuple[str, int], ...]
"""The modules of a layer: kinds with their positive sizes."""

_Key = TypeVar("_Key", bound=Hashable)


@torch.inference_mode()
def score(
    supernet: Supernet,
    images: Tensor,
    labels: Tensor,
    architectures: Sequence[Architecture],
    *,
    preprocessing: Preprocessing,
    batch_size: int = 128,
    precision: Precision = "fp32",
    together: bool | None = None,
) -> list[Evaluation]:
    """Run each subnet over uint8 ``images (N, 3, H, W)`` with int64 ``labels (N,)``, as `evaluate` does.

    Architectures are a tree: those that have the same modules in the layers up to l share these layers. Each
    node of it is computed once for an image, so that the embedding and the layers below the lowest module
    cost what they cost one subnet.

    ``together`` runs all nodes of a layer as one batch with one architecture per image: modules run at
    capacity under masks, in one kernel for all. Otherwise nodes run one after the other at their exact
    sizes, which is less arithmetic and needs images enough in each to keep the device busy. By default it is
    together on a GPU and not on a CPU.

    Args:
        supernet: whose weights are inherited.
        images: pixels, not normalised.
        labels: their classes.
        architectures: any number within the supernet's capacity; equal ones cost nothing more.
        preprocessing: normalises the images.
        batch_size: images of a pass, counting one for each architecture where they run together.
        precision: with ``bf16`` under autocast; losses are float32 all the same.
        together: see above.

    Raises ``ValueError`` for an architecture beyond the capacity.
    """
    for a in architectures:
        if not supernet.capacity.covers(a):
            raise ValueError(f"{a.describe()} is beyond the capacity {supernet.capacity.describe()}")
    device = supernet.head.weight.device
    if together is None:
        together = device.type != "cpu"
    losses = torch.empty(len(architectures), len(labels))
    hits = torch.empty(len(architectures), len(labels), dtype=torch.bool)
    for group in groups(architectures):
        among = [architectures[i] for i in group]
        step = images_of_pass(batch_size, len(group), together)
        for start in range(0, len(labels), step):
            columns = slice(start, start + step)
            x = preprocessing.normalise(images[columns].to(device))
            y = labels[columns].to(device)
            with autocast(device, precision):
                run = _level_by_level if together else _depth_first
                for members, logits in run(supernet, x, among):
                    found = F.cross_entropy(logits.float(), y, reduction="none").cpu()
                    right = (logits.argmax(-1) == y).cpu()
                    for i in members:
                        losses[group[i], columns], hits[group[i], columns] = found, right
    return [Evaluation(*row) for row in zip(losses, hits, strict=True)]


def shared_passes(architectures: Sequence[Architecture]) -> float:
    """The forward passes of an image that `score` takes: layers computed, over the layers of one subnet."""
    nodes = 0
    for group in groups(architectures):
        among = [architectures[i] for i in group]
        nodes += sum(
            len({(_before(a), *prefix[: layer + 1]) for a in among for prefix in [_by_layer(a)]})
            for layer in range(among[0].depth)
        )
    return nodes / architectures[0].depth if architectures else 0.0


def images_of_pass(batch_size: int, members: int, together: bool) -> int:
    """How many images `score` takes at once for a group of ``members`` architectures."""
    return max(1, batch_size // members) if together else batch_size


def groups(architectures: Sequence[Architecture]) -> Iterator[Members]:
    """Indices of up to `AT_ONCE` architectures, such that those with much in common come together."""
    order = sorted(
        range(len(architectures)), key=lambda i: (_before(architectures[i]), _by_layer(architectures[i]))
    )
    for start in range(0, len(order), AT_ONCE):
        yield order[start : start + AT_ONCE]


def _by_layer(a: Architecture) -> tuple[Sizes, ...]:
    """For each layer its modules, without those that act before the first one."""
    kinds = [kind for kind in a.kinds if not ELASTIC[kind].before_layers]
    return tuple(
        tuple((kind, a[kind][layer]) for kind in kinds if a[kind][layer]) for layer in range(a.depth)
    )


def _before(a: Architecture) -> Sizes:
    """The modules that act before the first layer."""
    return tuple((kind, a[kind][0]) for kind in a.kinds if ELASTIC[kind].before_layers and a[kind][0])


def _depth_first(
    supernet: Supernet, x: Tensor, architectures: Sequence[Architecture]
) -> Iterator[tuple[Members, Tensor]]:
    """Logits ``(B, classes)`` with the architectures that have them, keeping one path of the tree."""
    layers = [_by_layer(a) for a in architectures]

    def below(
        tokens: Tensor, index: int, members: Members, at: list[Positions], prompts: int
    ) -> Iterator[tuple[Members, Tensor]]:
        if index == supernet.capacity.depth:
            yield members, supernet.head(supernet.pool(tokens, prompts))
            return
        for sizes, group in _split(members, [layers[i][index] for i in members]):
            yield from below(
                supernet.run_layer(index, tokens, dict(sizes), at), index + 1, group, at, prompts
            )

    everyone = list(range(len(architectures)))
    for before, members in _split(everyone, [_before(a) for a in architectures]):
        tokens, at, prompts = supernet.embed(x, dict(before))
        yield from below(tokens, 0, members, at, prompts)


def _level_by_level(
    supernet: Supernet, x: Tensor, architectures: Sequence[Architecture]
) -> Iterator[tuple[Members, Tensor]]:
    """The same, each layer in one pass for all its nodes."""
    layers = [_by_layer(a) for a in architectures]
    everyone = list(range(len(architectures)))
    for before, below in _split(everyone, [_before(a) for a in architectures]):
        tokens, at, prompts = supernet.embed(x, dict(before))
        nodes, states = [below], tokens[None]  # (nodes, B, N, d)
        for index in range(supernet.capacity.depth):
            branches = [
                (parent, dict(sizes), members)
                for parent, node in enumerate(nodes)
                for sizes, members in _split(node, [layers[i][index] for i in node])
            ]
            parents = torch.tensor([parent for parent, _, _ in branches], device=x.device)
            kinds = sorted({kind for _, sizes, _ in branches for kind in sizes})
            per_image = {
                kind: torch.tensor(
                    [sizes.get(kind, 0) for _, sizes, _ in branches], device=x.device
                ).repeat_interleave(len(x))
                for kind in kinds
            }
            out = supernet.run_layer(index, states[parents].flatten(0, 1), per_image, at)
            nodes, states = (
                [members for _, _, members in branches],
                out.reshape(len(branches), len(x), *out.shape[1:]),
            )
        logits = supernet.head(supernet.pool(states.flatten(0, 1), prompts))
        yield from zip(nodes, logits.reshape(len(nodes), len(x), -1), strict=True)


def _split(members: Members, keys: Sequence[_Key]) -> Iterator[tuple[_Key, Members]]:
    """The members of each key, in the order in which keys occur."""
    groups: dict[_Key, Members] = {}
    for member, key in zip(members, keys, strict=True):
        groups.setdefault(key, []).append(member)
    yield from groups.items()
