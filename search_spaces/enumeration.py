"""Enumeration of the members of a space within a limit."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from search_spaces.architecture import Architecture
from search_spaces.choices import KindChoices
from search_spaces.space import SearchSpace


def members_within(space: SearchSpace, fits: Callable[[Architecture], bool]) -> Iterator[Architecture]:
    """Yield each member that `fits` once, always in the same order, the smallest first.

    Random draws can only suggest that a small space is exhausted; enumeration proves it. Nothing is kept, and
    branches without a fitting member are not entered, so the first k members take time in proportion to k,
    however large the space is.

    `fits` must be monotone: every architecture covered by a fitting member fits. Limits on parameters,
    operations and bytes are monotone.
    """
    if fits(space.smallest()):
        yield from _completions(space, fits, ())


_Sizes = tuple[str, tuple[int, ...]]


def _completions(
    space: SearchSpace, fits: Callable[[Architecture], bool], done: tuple[_Sizes, ...]
) -> Iterator[Architecture]:
    """Members whose first kinds are `done`, which must fit with the other kinds at their smallest."""
    if len(done) == len(space.kinds):
        yield Architecture(space.depth, done)
        return
    kind, choices = space.kinds[len(done)]
    rest = tuple((name, c.smallest(space.depth)) for name, c in space.kinds[len(done) + 1 :])

    def fitting(sizes: tuple[int, ...]) -> bool:
        return fits(Architecture(space.depth, (*done, (kind, sizes), *rest)))

    for sizes in _size_tuples(choices, space.depth, fitting):
        yield from _completions(space, fits, (*done, (kind, sizes)))


def _size_tuples(
    choices: KindChoices, depth: int, fitting: Callable[[tuple[int, ...]], bool]
) -> Iterator[tuple[int, ...]]:
    """Every fitting choice of one kind, whose smallest choice must fit."""
    smallest = choices.sizes[0]

    def extensions(start: tuple[int, ...], active: int) -> Iterator[tuple[int, ...]]:
        """Sizes that begin with `start`, which must fit with the smallest size after it."""
        if len(start) == active:
            yield start + (0,) * (depth - active)
            return
        after = (smallest,) * (active - len(start) - 1) + (0,) * (depth - active)
        for size in choices.sizes:
            if size > smallest and not fitting((*start, size, *after)):
                return  # nor does any larger size
            yield from extensions((*start, size), active)

    for active in (depth,) if choices.depths is None else choices.depths:
        if not fitting((smallest,) * active + (0,) * (depth - active)):
            return
        yield from extensions((), active)
