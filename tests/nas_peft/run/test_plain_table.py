"""The style of printed tables."""

import io

from rich.console import Console

from nas_peft.run.plain_table import add_number, add_text, plain_table


def test_text_is_on_the_left_numbers_on_the_right_and_brackets_are_text():
    table = plain_table("a title [bold]", "a caption [red]")
    add_text(table, "name")
    add_number(table, "long\nheader")
    table.add_row("x", "1")
    table.add_row("longer", "12,345")
    console = Console(record=True, width=80, file=io.StringIO())
    console.print(table)
    lines = [line.rstrip() for line in console.export_text().splitlines()]
    assert lines[0].startswith("a title")
    assert "[bold]" in " ".join(lines)
    assert "[red]" in " ".join(lines)
    (x,) = (line for line in lines if line.startswith("x "))
    (longer,) = (line for line in lines if line.startswith("longer"))
    assert len(x) == len(longer)
