"""Sizes and layers that one module kind may take."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from search_spaces.errors import InputError, unknown_name
from search_spaces.whole_numbers import ascending


@dataclass(frozen=True)
class KindChoices:
    """Sizes that one module kind may have in a layer, and the layers that may hold the kind.

    Two forms:

    - free (`depths` is None): every layer takes any of `sizes`, independently. The kind may be absent from a
      layer if and only if `sizes` contains 0.
    - depth prefix (`depths` given; the form of NOAH, arXiv 2206.04673): the kind is present in exactly the
      first d layers, counted from the input side, for some d in `depths`, and absent above. `sizes` are then
      all positive; 0 among `depths` permits leaving the kind out.

    Raises InputError unless both ascend without repeats and permit the kind somewhere.
    """

    sizes: tuple[int, ...]
    depths: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "sizes", ascending("sizes", self.sizes, 0))
        if self.sizes[-1] == 0:
            raise InputError("sizes is [0]; add a positive size, or leave the kind out")
        if self.depths is None:
            return
        object.__setattr__(self, "depths", ascending("depths", self.depths, 0))
        if self.sizes[0] == 0:
            raise InputError(
                "sizes[0] is 0, but with depths every size is positive; put 0 into depths instead"
            )
        if self.depths[-1] == 0:
            raise InputError("depths is [0]; add a positive depth, or leave the kind out")

    @classmethod
    def from_dict(cls, data: object, depth: int, where: str) -> KindChoices:
        """Choices from `{"sizes": [...]}`, with `depths` or `depth_fractions` for the depth-prefix form.

        On a backbone with `depth` layers, a fraction f stands for the whole number of layers nearest to
        f·depth, halves rounded up, and for at least one layer if f is positive; one file thus serves every
        backbone. `where` is the path of `data` in its file, such as `kinds.lora_rank`, for the InputError.
        """
        if not isinstance(data, Mapping):
            raise InputError(f"{where} is {data!r}; give fields, such as {{sizes: [0, 1, 2, 4]}}")
        allowed = ("sizes", "depths", "depth_fractions")
        for field in data:
            if field not in allowed:
                raise unknown_name(f"field of {where}", str(field), allowed)
        if "sizes" not in data:
            raise InputError(f"{where} has no sizes; add a list, such as sizes: [0, 1, 2, 4]")
        sizes = ascending(f"{where}.sizes", data["sizes"], 0)
        depths = None
        if "depths" in data and "depth_fractions" in data:
            raise InputError(f"{where} has both depths and depth_fractions; keep one of them")
        if "depths" in data:
            depths = ascending(f"{where}.depths", data["depths"], 0, depth)
        elif "depth_fractions" in data:
            depths = _depths_of(f"{where}.depth_fractions", data["depth_fractions"], depth)
        try:
            return cls(sizes, depths)
        except InputError as error:
            raise InputError(f"{where}.{error}") from None

    def in_first_layer(self) -> KindChoices:
        """The same sizes in the first layer alone: free choices become a depth of 0 or 1."""
        if self.depths is not None:
            return self
        return KindChoices(self.positive, (0, 1) if self.optional else (1,))

    def to_dict(self) -> dict[str, list[int]]:
        """JSON-able `{"sizes": [...]}`, with `depths` in the depth-prefix form."""
        data = {"sizes": list(self.sizes)}
        if self.depths is not None:
            data["depths"] = list(self.depths)
        return data

    @property
    def positive(self) -> tuple[int, ...]:
        """The sizes above 0, ascending."""
        return tuple(size for size in self.sizes if size > 0)

    @property
    def optional(self) -> bool:
        """Whether the kind may be absent from the whole network."""
        return 0 in (self.sizes if self.depths is None else self.depths)

    def active_counts(self, depth: int) -> tuple[int, ...]:
        """Ascending numbers of layers that the kind can be present in, 0 excluded."""
        if self.depths is not None:
            return tuple(d for d in self.depths if d > 0)
        return tuple(range(1, depth + 1)) if self.optional else (depth,)

    def allows(self, sizes: Sequence[int]) -> bool:
        """Whether the kind may have `sizes`, one per layer."""
        if self.depths is None:
            return set(sizes) <= set(self.sizes)
        # As no size allowed here is 0, this also says that the active layers are the first ones.
        active = sum(size > 0 for size in sizes)
        return active in self.depths and set(sizes[:active]) <= set(self.sizes)

    def smallest(self, depth: int) -> tuple[int, ...]:
        """The smallest sizes, one per layer."""
        active = depth if self.depths is None else self.depths[0]
        return (self.sizes[0],) * active + (0,) * (depth - active)

    def smallest_present(self, depth: int) -> tuple[int, ...]:
        """The smallest sizes with which the kind is present: in as few layers as allowed, the lowest ones."""
        active = self.active_counts(depth)[0]
        return (self.positive[0],) * active + (0,) * (depth - active)

    def largest(self, depth: int) -> tuple[int, ...]:
        """The largest sizes, one per layer."""
        active = depth if self.depths is None else self.depths[-1]
        return (self.sizes[-1],) * active + (0,) * (depth - active)

    def sample(self, depth: int, rng: np.random.Generator) -> tuple[int, ...]:
        """Sizes drawn uniformly for each layer; with depths, for the first d layers, d drawn uniformly."""
        active = depth if self.depths is None else self.depths[rng.integers(len(self.depths))]
        drawn = rng.integers(len(self.sizes), size=active).tolist()
        return tuple(self.sizes[i] for i in drawn) + (0,) * (depth - active)

    def cardinality(self, depth: int) -> int:
        """The number of different size assignments over the layers."""
        depths = (depth,) if self.depths is None else self.depths
        return sum(len(self.sizes) ** d for d in depths)


def _depths_of(where: str, fractions: object, depth: int) -> tuple[int, ...]:
    if not isinstance(fractions, (list, tuple)) or not fractions:
        raise InputError(f"{where} is {fractions!r}; give a list of numbers from 0 to 1, such as [0.5, 1.0]")
    depths = set()
    for i, fraction in enumerate(fractions):
        if isinstance(fraction, bool) or not isinstance(fraction, (int, float)) or not 0 <= fraction <= 1:
            raise InputError(f"{where}[{i}] is {fraction!r}; give a number from 0 to 1")
        depths.add(max(1, math.floor(fraction * depth + 0.5)) if fraction > 0 else 0)
    return tuple(sorted(depths))
