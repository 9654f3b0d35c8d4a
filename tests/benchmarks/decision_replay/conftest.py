"""Small tables of a study: four tasks, three methods with two settings each."""

import csv
from pathlib import Path

import pytest

TASKS = ("ants", "bees", "crabs", "ducks")
METHODS = {"big": 900, "middle": 300, "small": 10}


def write_tables(folder: Path) -> Path:
    """``big`` has the best accuracies and test accuracies, and the highest losses; ``small`` the lowest."""
    folder.mkdir(parents=True, exist_ok=True)
    tunings, finals = [], []
    for number, task in enumerate(TASKS):
        for rank, (method, params) in enumerate(METHODS.items()):
            for setting, less in (("a", 0.0), ("b", 10.0)):
                accuracy, loss = 80.0 - 5 * rank - less - number, 1.0 - 0.2 * rank - less / 50
                tunings.append((task, method, setting, accuracy, round(loss, 2)))
            finals.append((task, method, params, "a", 78.0 - 6 * rank - number))
    for name, columns, rows in (
        ("tunings", ("task", "method", "settings", "val_top1", "val_loss"), tunings),
        ("finals", ("task", "method", "params", "settings", "test_top1_last"), finals),
    ):
        with (folder / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([columns, *rows])
    return folder


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    """The folder of the tables, which a test may change."""
    return write_tables(tmp_path / "tables")
