"""Reading the tables: numbers, and mistakes that name the line."""

from pathlib import Path

import pytest

from benchmarks.decision_replay.tables import Option, Tables
from search_spaces import InputError


def test_finals_have_the_validation_figures_of_their_setting(tables: Path) -> None:
    found = Tables.read(tables)
    assert len(found.tunings["ants"]) == 6
    assert found.finals["bees"][1] == Option("middle", "a", 0.74, 0.8, 300, 0.71)


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("tunings", "val_loss", "loss", r"tunings\.csv' has no column 'val_loss'"),
        ("tunings", "80.0", "high", r"line 2: val_top1 is 'high', which is not a number"),
        ("finals", "bees,middle,300,a", "bees,middle,300,c", r"line 6: middle c is not among the tunings"),
        ("finals", "ducks,small,10,a,63.0\r\n", "", r"finals of 'ducks' and 'ants' differ in small"),
        ("tunings", "ducks,small,b,57.0,0.4", "ducks,small,c,57.0,0.4", "tunings of 'ducks' and 'ants'"),
    ],
)
def test_a_mistake_is_named(tables: Path, file: str, old: str, new: str, message: str) -> None:
    path = tables / f"{file}.csv"
    text = path.read_bytes().decode()
    assert old in text
    path.write_bytes(text.replace(old, new, 1).encode())
    with pytest.raises(InputError, match=message):
        Tables.read(tables)


def test_a_missing_table_and_too_few_tasks_are_refused(tables: Path) -> None:
    path = tables / "finals.csv"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:4]))
    with pytest.raises(InputError, match="4 tasks with tunings and 1 with finals"):
        Tables.read(tables)
    path.unlink()
    with pytest.raises(InputError, match=r"finals\.csv' is missing; give --tunings"):
        Tables.read(tables)
