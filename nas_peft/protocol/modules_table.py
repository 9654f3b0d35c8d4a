"""Tables of architectures: one line for each, with a strip of blocks for each kind of module."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.table import Table

from nas_peft.run.plain_table import GAP, add_text, plain_table
from search_spaces import KINDS, Architecture
from search_spaces.strips import ABSENT, largest_sizes, strips

EXPLAINED = (
    "one block for each layer, from the input to the output; the height grows with the logarithm of the "
    f"size, up to the largest named above; {ABSENT} no module"
)


@dataclass(frozen=True)
class Drawn:
    """An architecture to draw: its mark, the cells that name it, and whether its line is bold."""

    mark: str
    names: tuple[str, ...]
    architecture: Architecture
    bold: bool = False


def kind_header(kind: str, largest: int) -> str:
    """The lines above the strips of a kind: its label, one word a line, and its largest size."""
    return "\n".join([*KINDS[kind].label.split(), f"to {largest}"])


def modules_tables(
    title: str,
    headers: Sequence[str],
    drawn: Sequence[Drawn],
    width: int,
    largest: Mapping[str, int] | None = None,
) -> list[Table]:
    """Tables with the strips of each architecture, as many as it takes to stay within ``width`` characters.

    ``headers`` are those of the names of `Drawn`. ``largest`` are the largest sizes by kind, to which the
    blocks are scaled, by default those of the architectures that are drawn. Kinds that none of them has are
    left out; there is no table if no kind remains.
    """
    if not drawn:
        return []
    used = largest_sizes(of.architecture for of in drawn)
    scale = {kind: (largest or used)[kind] for kind in used}
    named = 1 + sum(
        GAP + max(len(header), *(len(of.names[i]) for of in drawn)) for i, header in enumerate(headers)
    )
    parts: list[dict[str, int]] = []
    taken = width
    for kind, most in scale.items():
        needed = GAP + _width(kind, most, drawn)
        if taken + needed > width:
            parts.append({})
            taken = named
        parts[-1][kind] = most
        taken += needed
    return [
        _table(
            title if number == 0 else f"{title}, continued",
            headers,
            drawn,
            part,
            EXPLAINED if number == len(parts) - 1 else "",
        )
        for number, part in enumerate(parts)
    ]


def add_strips(table: Table, largest: Mapping[str, int]) -> None:
    """Add a column of strips for each kind in ``largest``."""
    for kind, most in largest.items():
        add_text(table, kind_header(kind, most))


def _width(kind: str, largest: int, drawn: Sequence[Drawn]) -> int:
    label = KINDS[kind].label
    cells = [len(strips(of.architecture, {kind: largest})[label]) for of in drawn]
    return max(*cells, *map(len, kind_header(kind, largest).splitlines()))


def _table(
    title: str, headers: Sequence[str], drawn: Sequence[Drawn], largest: Mapping[str, int], caption: str
) -> Table:
    table = plain_table(title, caption)
    add_text(table)
    for header in headers:
        add_text(table, header)
    add_strips(table, largest)
    for of in drawn:
        cells = strips(of.architecture, largest).values()
        table.add_row(of.mark, *of.names, *cells, style="bold" if of.bold else None)
    return table
