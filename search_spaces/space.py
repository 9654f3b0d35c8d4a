"""Search spaces: sets of architectures that a search may choose from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from search_spaces.architecture import Architecture
from search_spaces.choices import KindChoices
from search_spaces.errors import InputError, unknown_name
from search_spaces.kinds import KINDS, OWN_KIND
from search_spaces.whole_numbers import whole_number


@dataclass(frozen=True)
class SearchSpace:
    """The product of the choices of each module kind, over the `depth` layers of a backbone.

    `name` identifies the space in records and messages, and `about` explains its design. `kinds` holds (kind,
    choices) pairs sorted by kind; every other kind is absent from all members. Raises InputError for a depth
    below 1, no kind, an unregistered or repeated kind, depths of a kind beyond the backbone's, and sizes or
    layers that the kind cannot have.
    """

    name: str
    depth: int
    kinds: tuple[tuple[str, KindChoices], ...]
    about: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "depth", whole_number("depth", self.depth, 1))
        names = [kind for kind, _ in self.kinds]
        if not names:
            raise InputError(
                f"the space '{self.name}' has no kinds; give at least one of: {', '.join(sorted(KINDS))}"
            )
        for kind, choices in self.kinds:
            if kind not in KINDS:
                raise unknown_name("module kind", str(kind), KINDS, OWN_KIND)
            if names.count(kind) > 1:
                raise InputError(f"kinds.{kind} is given twice; give each kind once")
            for i, layers in enumerate(choices.depths or ()):
                whole_number(f"kinds.{kind}.depths[{i}]", layers, 0, self.depth)
            KINDS[kind].require(
                choices.largest(self.depth), f"kinds.{kind}", "give depths: [0, 1], or [1] for always"
            )
        object.__setattr__(self, "kinds", tuple(sorted(self.kinds, key=lambda pair: pair[0])))

    @classmethod
    def from_dict(cls, data: Mapping[str, object]) -> SearchSpace:
        """The inverse of `to_dict`, with `depth_fractions` allowed too (see `KindChoices.from_dict`).

        A kind that exists in the first layer only needs no depths: its sizes apply to that layer.

        Raises InputError with the path of the field, its value and what is allowed: `kinds.lora_rank.sizes[1]
        is 'x'; give a whole number from 0 up`.
        """
        allowed = ("name", "depth", "kinds", "about")
        for field in data:
            if field not in allowed:
                raise unknown_name("field", str(field), allowed)
        for field in ("name", "depth", "kinds"):
            if field not in data:
                raise InputError(
                    f"the field '{field}' is missing; a space has name, kinds, and about if you like"
                )
        name, about, kinds = data["name"], data.get("about", ""), data["kinds"]
        if not isinstance(name, str) or not name:
            raise InputError(f"name is {name!r}; give a text, such as my-space")
        if not isinstance(about, str):
            raise InputError(f"about is {about!r}; give a text, or leave it out")
        if not isinstance(kinds, Mapping):
            raise InputError(f"kinds is {kinds!r}; give fields, such as lora_rank: {{sizes: [0, 1, 2, 4]}}")
        for kind in kinds:
            if kind not in KINDS:
                known = [f"kinds.{name}" for name in KINDS]
                raise unknown_name("module kind", f"kinds.{kind}", known, OWN_KIND)
        depth = whole_number("depth", data["depth"], 1)
        choices = []
        for kind in kinds:
            given = KindChoices.from_dict(kinds[kind], depth, f"kinds.{kind}")
            choices.append((kind, given.in_first_layer() if KINDS[kind].first_layer_only else given))
        return cls(name, depth, tuple(choices), about)

    def to_dict(self) -> dict[str, object]:
        """The space as JSON-able values, with depths in layers."""
        kinds = {kind: choices.to_dict() for kind, choices in self.kinds}
        return {"name": self.name, "depth": self.depth, "kinds": kinds, "about": self.about}

    def choices(self, kind: str) -> KindChoices:
        """The choices of `kind`. Raises InputError for a kind that the space does not hold."""
        for name, choices in self.kinds:
            if name == kind:
                return choices
        raise unknown_name(f"kind of the space '{self.name}':", kind, [name for name, _ in self.kinds])

    def contains(self, a: Architecture) -> bool:
        """Whether `a` is a member; also spelled `a in space`."""
        if a.depth != self.depth or not set(a.kinds) <= {kind for kind, _ in self.kinds}:
            return False
        return all(choices.allows(a[kind]) for kind, choices in self.kinds)

    def __contains__(self, a: object) -> bool:
        return isinstance(a, Architecture) and self.contains(a)

    def require(self, a: Architecture) -> None:
        """Raise InputError unless `a` is a member."""
        if not self.contains(a):
            raise InputError(
                f"the architecture {a.describe()} is not in the space '{self.name}'; "
                "give a member, or widen the space"
            )

    def smallest(self) -> Architecture:
        """The member that every other member covers; empty where every kind may be absent."""
        return Architecture(self.depth, tuple((kind, c.smallest(self.depth)) for kind, c in self.kinds))

    def smallest_nonempty(self) -> tuple[Architecture, ...]:
        """The smallest members with a module: `smallest()`, or one member for each kind if that is empty.

        Feasibility is judged by these members, because a search needs modules to choose.
        """
        smallest = self.smallest()
        if smallest.kinds:
            return (smallest,)
        return tuple(
            Architecture(self.depth, ((kind, c.smallest_present(self.depth)),)) for kind, c in self.kinds
        )

    def largest(self) -> Architecture:
        """The member that covers every other member: the shape of the supernet."""
        return Architecture(self.depth, tuple((kind, c.largest(self.depth)) for kind, c in self.kinds))

    def sample(self, rng: np.random.Generator) -> Architecture:
        """A random member: sizes independent and uniform in each layer, depths uniform where a kind has them.

        Not uniform over members where a kind has depths. The mean size is far above most budgets: see
        `BudgetSampler`.
        """
        return Architecture(self.depth, tuple((kind, c.sample(self.depth, rng)) for kind, c in self.kinds))

    def cardinality(self) -> int:
        """The number of members."""
        return math.prod(choices.cardinality(self.depth) for _, choices in self.kinds)

    def uniform_architectures(self, kind: str) -> list[Architecture]:
        """The architectures with one positive size of `kind` in every layer and no other kind, by ascending
        size.

        These single methods are the references that a search has to beat. Some may not be members, namely
        where other kinds cannot be absent or this kind cannot be in every layer. A kind that exists in the
        first layer only is in that layer.
        """
        layers = 1 if KINDS[kind].first_layer_only else self.depth
        rest = (0,) * (self.depth - layers)
        sizes = self.choices(kind).positive
        return [Architecture(self.depth, ((kind, (size,) * layers + rest),)) for size in sizes]
