"""Mutation and crossover: the moves of a search inside a space.

Both are closed: members give members. Neither repeats two faults of NOAH's released search, whose mutation
never changes a size in a layer it keeps and whose crossover exchanges whole kinds.
"""

from __future__ import annotations

import numpy as np

from search_spaces.architecture import Architecture
from search_spaces.choices import KindChoices
from search_spaces.errors import InputError
from search_spaces.space import SearchSpace


def mutate(space: SearchSpace, a: Architecture, rng: np.random.Generator, probability: float) -> Architecture:
    """A member that differs from the member `a` in at least one size.

    Each size is redrawn with `probability`, uniformly from the other sizes allowed in that layer. The depth
    of a kind that has depths is redrawn likewise; newly active layers take a size drawn uniformly. If no draw
    hits, one position drawn uniformly (a layer of a kind, or a kind's depth) changes.

    Raises InputError if `a` is not a member, `probability` is not in [0, 1], or the space has one member.
    """
    space.require(a)
    if not 0 <= probability <= 1:
        raise InputError(f"the mutation probability is {probability}; give a number from 0 to 1")
    positions = [
        (kind, position) for kind, choices in space.kinds for position in _changeable(choices, a[kind])
    ]
    if not positions:
        raise InputError(f"the space '{space.name}' has one member only, so nothing can mutate; add sizes")
    hits = np.flatnonzero(rng.random(len(positions)) < probability).tolist()
    if not hits:
        hits = [int(rng.integers(len(positions)))]
    changes: dict[str, set[int]] = {}
    for i in hits:
        kind, position = positions[i]
        changes.setdefault(kind, set()).add(position)
    return Architecture(
        space.depth,
        tuple(
            (kind, _changed(choices, a[kind], changes.get(kind, set()), rng)) for kind, choices in space.kinds
        ),
    )


def crossover(space: SearchSpace, a: Architecture, b: Architecture, rng: np.random.Generator) -> Architecture:
    """A member that takes each size from `a` or from `b`, with equal probability.

    A kind with depths takes the depth of either parent, and a layer in which only one parent has the kind
    takes that parent's size. Raises InputError if a parent is not a member.
    """
    space.require(a)
    space.require(b)
    sizes = []
    for kind, choices in space.kinds:
        first, second = a[kind], b[kind]
        from_first = (rng.random(space.depth) < 0.5).tolist()
        child = [x if take else y for x, y, take in zip(first, second, from_first, strict=True)]
        if choices.depths is not None:
            donor = first if rng.random() < 0.5 else second
            active = _active(donor)
            child = [c or x or y for c, x, y in zip(child, first, second, strict=True)]
            child[active:] = [0] * (space.depth - active)
        sizes.append((kind, tuple(child)))
    return Architecture(space.depth, tuple(sizes))


# The position of a kind's depth, beside its layers 0, 1, ...
_DEPTH = -1


def _active(sizes: tuple[int, ...]) -> int:
    return sum(size > 0 for size in sizes)


def _changeable(choices: KindChoices, sizes: tuple[int, ...]) -> list[int]:
    """The positions at which a kind has an alternative."""
    active = len(sizes) if choices.depths is None else _active(sizes)
    positions = list(range(active)) if len(choices.sizes) > 1 else []
    if choices.depths is not None and len(choices.depths) > 1:
        positions.append(_DEPTH)
    return positions


def _changed(
    choices: KindChoices, sizes: tuple[int, ...], positions: set[int], rng: np.random.Generator
) -> tuple[int, ...]:
    changed = list(sizes)
    for layer in sorted(positions - {_DEPTH}):
        changed[layer] = _other(choices.sizes, sizes[layer], rng)
    if _DEPTH in positions and choices.depths is not None:
        active = _active(sizes)
        new = _other(choices.depths, active, rng)
        fresh = rng.integers(len(choices.sizes), size=max(0, new - active)).tolist()
        changed[active:] = [choices.sizes[i] for i in fresh] + [0] * (len(sizes) - active - len(fresh))
        changed[new:] = [0] * (len(sizes) - new)
    return tuple(changed)


def _other(allowed: tuple[int, ...], current: int, rng: np.random.Generator) -> int:
    others = [value for value in allowed if value != current]
    return others[rng.integers(len(others))]
