"""The tables of tunings that are replayed: every setting on validation data, one per method on test data."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from search_spaces import InputError

TUNINGS = ("task", "method", "settings", "val_top1", "val_loss")
FINALS = ("task", "method", "params", "settings", "test_top1_last")


@dataclass(frozen=True)
class Option:
    """A setting of a method on one task: what a rule may choose.

    Accuracies are fractions. ``params`` and ``test`` are known of the finals alone, else 0 and ``None``.
    """

    method: str
    settings: str
    accuracy: float
    loss: float
    params: int = 0
    test: float | None = None

    @property
    def name(self) -> str:
        """Method and settings: the same option on another task has the same name."""
        return f"{self.method} {self.settings}"


@dataclass(frozen=True)
class Tables:
    """Options by task: all ``tunings``, and as ``finals`` the tuned setting of each method."""

    tunings: Mapping[str, Sequence[Option]]
    finals: Mapping[str, Sequence[Option]]

    @classmethod
    def read(cls, folder: Path) -> Tables:
        """Read ``tunings.csv`` and ``finals.csv``.

        Raises `InputError` for a missing file or column, a value that is no number, a final whose setting is
        not among the tunings, and tasks whose options differ from those of the first.
        """
        tunings: dict[str, list[Option]] = {}
        for line, row in _rows(folder / "tunings.csv", TUNINGS):
            accuracy, loss = (_number(row, name, line) for name in ("val_top1", "val_loss"))
            option = Option(row["method"], row["settings"], accuracy / 100, loss)
            tunings.setdefault(row["task"], []).append(option)
        found = {task: {o.name: o for o in options} for task, options in tunings.items()}
        finals: dict[str, list[Option]] = {}
        for line, row in _rows(folder / "finals.csv", FINALS):
            tuned = found.get(row["task"], {}).get(f"{row['method']} {row['settings']}")
            if tuned is None:
                raise InputError(
                    f"{line}: {row['method']} {row['settings']} is not among the tunings of '{row['task']}'; "
                    "give the two tables of one study"
                )
            params, test = (_number(row, name, line) for name in ("params", "test_top1_last"))
            final = Option(tuned.method, tuned.settings, tuned.accuracy, tuned.loss, int(params), test / 100)
            finals.setdefault(row["task"], []).append(final)
        if len(finals) < 3 or finals.keys() != tunings.keys():
            raise InputError(
                f"'{folder}' has {len(tunings)} tasks with tunings and {len(finals)} with finals; leaving "
                "one out needs the same three or more in both"
            )
        _require_alike({task: {o.name for o in options} for task, options in tunings.items()}, "tunings")
        _require_alike({task: {o.method for o in options} for task, options in finals.items()}, "finals")
        return cls(tunings, finals)


def _rows(file: Path, columns: Sequence[str]) -> list[tuple[str, dict[str, str]]]:
    if not file.is_file():
        raise InputError(f"'{file}' is missing; give --tunings a folder with tunings.csv and finals.csv")
    with file.open(newline="", encoding="utf-8") as lines:
        reader = csv.DictReader(lines)
        if missing := [name for name in columns if name not in (reader.fieldnames or ())]:
            raise InputError(f"'{file}' has no column '{missing[0]}'; it needs {', '.join(columns)}")
        return [(f"'{file}', line {number}", row) for number, row in enumerate(reader, 2)]


def _number(row: Mapping[str, str], name: str, line: str) -> float:
    try:
        return float(row[name])
    except (TypeError, ValueError):
        raise InputError(f"{line}: {name} is {row[name]!r}, which is not a number") from None


def _require_alike(names: Mapping[str, set[str]], what: str) -> None:
    first = next(iter(names))
    for task, found in names.items():
        if different := sorted(found ^ names[first]):
            raise InputError(
                f"the {what} of '{task}' and '{first}' differ in {different[0]}; every task needs the same"
            )
