"""Latency lookup table: the time of an architecture as the sum over its modules."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from search_spaces.architecture import Architecture


@dataclass(frozen=True)
class LatencyTable:
    """Milliseconds of a forward pass of one batch, as a sum over modules.

        latency(a) = base + Σ over kinds and layers of added(kind, size)

    As in ProxylessNAS (Cai et al. 2019, arXiv 1812.00332) and once-for-all networks (Cai et al. 2020, arXiv
    1908.09791). The layers of a Vision Transformer are alike, so a module of one size adds the same time in
    each.

    ``base`` is the backbone with its head and no modules. ``added`` holds (size, milliseconds) pairs for each
    kind, from (0, 0) to the largest size, both ascending (a larger module is never faster); values in between
    are interpolated linearly. Raises ValueError for a table that breaks these rules.
    """

    base: float
    added: tuple[tuple[str, tuple[tuple[int, float], ...]], ...]

    def __post_init__(self) -> None:
        for kind, points in self.added:
            sizes, times = [s for s, _ in points], [t for _, t in points]
            rises = sizes == sorted(set(sizes)) and times == sorted(times)
            if len(points) < 2 or points[0] != (0, 0.0) or not rises:
                raise ValueError(f"{kind}: {points} does not rise from (0, 0) on")

    def latency(self, a: Architecture) -> float:
        """Milliseconds of `a`. Raises ValueError for a kind or a size beyond the table."""
        table = dict(self.added)
        total = self.base
        for kind, sizes in a.sizes:
            if kind not in table:
                raise ValueError(f"the latency table does not hold {kind}")
            # exact for equal sizes in any order of layers, so that equal architectures cost the same
            total += sum(sizes.count(size) * _between(kind, table[kind], size) for size in sorted({*sizes}))
        return total

    def to_dict(self) -> dict[str, Any]:
        """JSON-able fields of the table."""
        return {"base": self.base, "added": {kind: [list(p) for p in points] for kind, points in self.added}}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> LatencyTable:
        """The inverse of `to_dict`."""
        added = tuple(
            (str(kind), tuple((int(size), float(time)) for size, time in points))
            for kind, points in data["added"].items()
        )
        return cls(float(data["base"]), added)


def _between(kind: str, points: tuple[tuple[int, float], ...], size: int) -> float:
    if size > points[-1][0]:
        raise ValueError(f"the latency table holds {kind} up to {points[-1][0]}, not {size}")
    at = bisect_right(points, size, key=lambda p: p[0]) - 1
    low, time = points[at]
    if size == low:
        return time
    high, later = points[at + 1]
    return time + (later - time) * (size - low) / (high - low)
