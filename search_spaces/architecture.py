"""Architectures: which modules of which size each layer has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from search_spaces.errors import InputError, unknown_name
from search_spaces.kinds import KINDS, OWN_KIND, Kind
from search_spaces.whole_numbers import whole_number


@dataclass(frozen=True)
class Architecture:
    """One size per layer for each module kind; 0 means that the layer has no such module.

    The form is canonical: kinds are sorted by name, and a kind that is 0 in every layer is left out. So two
    architectures are equal, and hash alike, exactly when they are the same network. This is the only
    representation of a subnet between search, extraction, retraining and the files on disk.

    ```python
    a = Architecture.of(4, {"lora_rank": [8, 8, 0, 0], "prompt_tokens": [0, 0, 0, 0]})
    a["lora_rank"]  # (8, 8, 0, 0)
    a.kinds  # ("lora_rank",)
    ```

    `depth` is the number of layers of the backbone; `sizes` holds (kind, one size per layer) pairs, layers
    counted from the input side. Raises InputError for a depth below 1, an unregistered kind, a list whose
    length is not `depth`, sizes that are not whole numbers from 0 up, and sizes that the kind cannot have.
    """

    depth: int
    sizes: tuple[tuple[str, tuple[int, ...]], ...]

    def __post_init__(self) -> None:
        depth = whole_number("depth", self.depth, 1)
        canonical: dict[str, tuple[int, ...]] = {}
        for kind, given in self.sizes:
            if kind not in KINDS:
                raise unknown_name("module kind", str(kind), KINDS, OWN_KIND)
            if kind in canonical:
                raise InputError(f"{kind} is given twice; give one size per layer once")
            canonical[kind] = _layer_sizes(kind, given, depth)
            KINDS[kind].require(canonical[kind], kind)
        object.__setattr__(self, "depth", depth)
        object.__setattr__(
            self, "sizes", tuple((k, canonical[k]) for k in sorted(canonical) if any(canonical[k]))
        )

    @classmethod
    def of(cls, depth: int, sizes: Mapping[str, Iterable[int]]) -> Architecture:
        """The architecture with `sizes[kind][layer]`; kinds that are not mentioned are absent."""
        return cls(depth, tuple((kind, tuple(values)) for kind, values in sizes.items()))

    @classmethod
    def empty(cls, depth: int) -> Architecture:
        """The architecture without modules: the backbone and a head."""
        return cls(depth, ())

    @classmethod
    def uniform(cls, depth: int, kind: str, size: int) -> Architecture:
        """`kind` with `size` in every layer and no other kind: the form of the published baselines."""
        return cls(depth, ((kind, (size,) * depth),))

    @classmethod
    def from_dict(cls, data: Mapping[str, object]) -> Architecture:
        """The inverse of `to_dict`. Raises InputError naming the missing or wrong entry."""
        if "depth" not in data:
            raise InputError("the architecture has no 'depth'; add the number of layers, such as depth: 12")
        sizes: dict[str, list[int]] = {}
        for kind, values in data.items():
            if kind == "depth":
                continue
            if not isinstance(values, (list, tuple)):
                raise InputError(f"{kind} is {values!r}; give a list with one size per layer")
            sizes[kind] = list(values)
        return cls.of(whole_number("depth", data["depth"], 1), sizes)

    def to_dict(self) -> dict[str, int | list[int]]:
        """JSON-able `{"depth": 4, "lora_rank": [8, 8, 0, 0]}`, absent kinds left out."""
        return {"depth": self.depth, **{kind: list(values) for kind, values in self.sizes}}

    def __getitem__(self, kind: str) -> tuple[int, ...]:
        """The size of `kind` in each layer, zeros if absent. Raises InputError for an unknown kind."""
        for name, values in self.sizes:
            if name == kind:
                return values
        if kind not in KINDS:
            raise unknown_name("module kind", kind, KINDS, OWN_KIND)
        return (0,) * self.depth

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds present in some layer, sorted by name."""
        return tuple(kind for kind, _ in self.sizes)

    @property
    def lowest_layer(self) -> int | None:
        """The lowest layer (0 is next to the input) with a module, or None.

        No layer below needs gradients.
        """
        firsts = [next(i for i, size in enumerate(values) if size) for _, values in self.sizes]
        return min(firsts, default=None)

    def acting_in(self, layer: int) -> dict[str, int]:
        """Sizes of the modules that act in a layer, by kind, absent ones included as 0.

        These are the layer's own, and those of the first layer that act in all.
        """
        return {kind: values[KINDS[kind].held_in(layer)] for kind, values in self.sizes}

    def covers(self, other: Architecture) -> bool:
        """Whether every size is at least that of `other`; the weights then contain those of `other`."""
        if self.depth != other.depth:
            return False
        return all(
            mine >= theirs
            for kind, values in other.sizes
            for mine, theirs in zip(self[kind], values, strict=True)
        )

    def describe(self) -> str:
        """Short text for tables and logs: `Adapter 4 ×8 layers, LoRA 2·2·0·0·4·4·4·4`, or `none`."""
        texts = []
        for kind, values in self.sizes:
            texts.append(f"{KINDS[kind].label} {_where(KINDS[kind], values)}")
        return ", ".join(texts) or "none"


def _layer_sizes(kind: str, given: Iterable[object], depth: int) -> tuple[int, ...]:
    values = tuple(given)
    if len(values) != depth:
        raise InputError(f"{kind} has {len(values)} sizes for {depth} layers; give one size per layer")
    # Samplers and evolution build many thousands of architectures, all from plain ints.
    if all(type(v) is int and v >= 0 for v in values):
        return values  # type: ignore[return-value]
    return tuple(whole_number(f"{kind}[{i}]", v, 0) for i, v in enumerate(values))


def _where(kind: Kind, values: tuple[int, ...]) -> str:
    if kind.acts_everywhere:
        return f"{values[0]} for all layers"
    return f"{values[0]} in layer 1" if kind.first_layer_only else _layers_text(values)


def _layers_text(values: tuple[int, ...]) -> str:
    if len(set(values)) == 1:
        return f"{values[0]} ×{len(values)} layers"
    return "·".join(map(str, values))
