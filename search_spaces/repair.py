"""Repair of architectures above a limit."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from search_spaces.architecture import Architecture
from search_spaces.errors import InputError
from search_spaces.space import SearchSpace


def shrink(
    space: SearchSpace, a: Architecture, fits: Callable[[Architecture], bool], rng: np.random.Generator
) -> Architecture:
    """A member that `fits` and that `a` covers; `a` itself if it fits.

    Until the architecture fits, a position drawn uniformly takes a smaller choice drawn uniformly: a layer of
    a kind takes a smaller size, or a kind with depths takes a smaller depth. Chance decides which modules
    stay, since nothing is known about which ones matter. Raises InputError if `a` is not a member, or if not
    even the smallest member fits.
    """
    space.require(a)
    while not fits(a):
        sizes = dict(zip((kind for kind, _ in space.kinds), (a[k] for k, _ in space.kinds), strict=True))
        smaller: list[tuple[str, tuple[tuple[int, ...], ...]]] = []
        for kind, choices in space.kinds:
            current = sizes[kind]
            active = space.depth if choices.depths is None else sum(size > 0 for size in current)
            for layer in range(active):
                lower = [size for size in choices.sizes if size < current[layer]]
                if lower:
                    options = tuple((*current[:layer], size, *current[layer + 1 :]) for size in lower)
                    smaller.append((kind, options))
            shallower = [d for d in choices.depths or () if d < active]
            if shallower:
                smaller.append((kind, tuple(current[:d] + (0,) * (space.depth - d) for d in shallower)))
        if not smaller:
            raise InputError(
                f"the smallest architecture of the space '{space.name}' is not within the limit; raise the "
                "limit, or choose a space with smaller sizes"
            )
        kind, options = smaller[int(rng.integers(len(smaller)))]
        sizes[kind] = options[int(rng.integers(len(options)))]
        a = Architecture(space.depth, tuple(sizes.items()))
    return a
