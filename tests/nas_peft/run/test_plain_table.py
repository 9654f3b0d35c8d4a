"""The style of printed tables."""

import io

import pytest
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


def test_a_note_is_wider_than_a_narrow_table_and_never_wider_than_the_terminal():
    table = plain_table(
        "", "a note of many words, which would be a tower below a column of three letters [x]"
    )
    add_text(table, "abc")
    table.add_row("x")
    for width, most in ((100, 80), (40, 40)):
        console = Console(record=True, width=width, file=io.StringIO())
        console.print(table)
        note = [line.rstrip() for line in console.export_text().splitlines()[3:]]
        assert " ".join(note) == table.caption
        assert most - 15 < len(note[0]) <= most


@pytest.mark.parametrize("name", ["[m3]", ":car:", "[/b]", "[red]x[/red]", "a\\", "[link=https://x]y"])
def test_a_users_name_is_printed_as_it_is(name: str):
    """On rich's own console, too, which would take it for markup or an emoji."""
    table = plain_table(name, name)
    add_text(table, name)
    table.add_column(name, overflow="fold")
    table.add_row(name, name)
    console = Console(record=True, width=80, file=io.StringIO())
    console.print(table)
    assert console.export_text().count(name) == 6
