"""Tables of architectures: one line each, never wider than asked for."""

import io

import pytest
from rich.console import Console

from nas_peft.protocol.modules_table import Drawn, modules_tables
from search_spaces import KINDS, Architecture


def lines_of(*given: object, width: int = 80) -> list[str]:
    console = Console(record=True, width=width, file=io.StringIO())
    for table in given:
        console.print(table)
    return [line.rstrip() for line in console.export_text().splitlines()]


@pytest.mark.parametrize("depth", [8, 12, 24])
@pytest.mark.parametrize("width", [60, 80, 120])
def test_every_kind_at_every_width_is_whole(depth: int, width: int):
    first = {name: 4 for name, kind in KINDS.items() if kind.first_layer_only}
    sizes = {name: [first[name]] + [0] * (depth - 1) if name in first else [4] * depth for name in KINDS}
    drawn = [
        Drawn("►", ("everything",), Architecture.of(depth, sizes), True),
        Drawn("", ("one",), Architecture.uniform(depth, "lora_rank", 1)),
    ]
    tables = modules_tables("modules", ["method"], drawn, width)
    lines = lines_of(*tables, width=width)
    assert max(map(len, lines)) <= width
    text = "\n".join(lines)
    assert text.count("█" * depth) == len(KINDS) - len(first)
    for label in {word for kind in KINDS.values() for word in kind.label.split()}:
        assert label in text
    assert sum(line.startswith("►  everything") for line in lines) == len(tables)
    assert not any("…" in line for line in lines)


def test_a_scale_of_its_own_and_nothing_to_draw():
    one = Drawn("", ("17", "1,024"), Architecture.uniform(4, "lora_rank", 1))
    (table,) = modules_tables("modules", ["no", "params"], [one], 80, {"lora_rank": 16, "ssf": 6})
    text = "\n".join(lines_of(table))
    assert "to 16" in text
    assert "▂▂▂▂" in text
    assert "SSF" not in text
    assert modules_tables("modules", ["no"], [Drawn("", ("1",), Architecture.empty(4))], 80) == []
    assert modules_tables("modules", ["no"], [], 80) == []
