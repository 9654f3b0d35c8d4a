"""What the console of all commands prints, and what it does without a reader."""

import io
import os

import pytest
from rich.table import Table

from nas_peft.run.text_console import TextConsole


def test_words_are_printed_as_they_are():
    words, file = "[m3] :car: [/b] [red]x 12", io.StringIO()
    table = Table(words)
    table.add_row(words)
    console = TextConsole(file=file, width=80)
    console.print(words)
    console.print(table)
    assert file.getvalue().count(words) == 3


def test_a_reader_that_has_gone_is_an_error_as_it_is_for_print():
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as lost:
        with pytest.raises(BrokenPipeError):
            TextConsole(file=lost).print("x")
        os.dup2(os.open(os.devnull, os.O_WRONLY), lost.fileno())  # what is left is lost, and no error
