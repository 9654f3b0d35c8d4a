"""Damage each file of a run folder in turn, and see what the commands make of it.

::

    python -m benchmarks.faults damaged-files

A small search of rendered images is run once. Then each file of its folder is cut in half, emptied, changed
in one bit (a seeded place) or removed, and the same search is started again, once with and once without the
file ``results.json``; ``nas-peft front`` reads the folder, too. A second run has separate trainings; of its
files one of each kind under ``trainings/`` is damaged. A command passes if it ends with the numbers of the
undisturbed run, or with exit status 2 and one line that says what is wrong, and all other files in place.

Prints a table and writes JSON (``--out``).
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.table import Table
from typer.testing import CliRunner

from benchmarks.harness.command_line import StudyParser
from benchmarks.harness.results import RESULTS, write_result
from nas_peft.cli.app import app
from nas_peft.machine.environment import environment
from search_spaces.streams import stream

OUT = RESULTS / "damaged_files.json"
SHORT = {
    "dataset": "shapes-location",
    "shots": 4,
    "epochs": 1,
    "supernet-epochs": 1,
    "generations": 2,
    "population": 4,
    "linear-epochs": 2,
    "linear-lr": 0.01,
    "head-epochs": 1,
}

TRAINED = SHORT | {"retrain": 1, "baselines": "linear", "singles": "lora_rank", "cpus-per-trial": 1}
"""Options of the run with separate trainings."""

MEASURED = ("val_accuracy", "val_loss", "test_accuracy", "test_loss", "losses")
"""Fields of a row's seeds that a fault must not change."""

Outcome = Literal["same numbers", "one line", "other numbers", "no line", "files lost", "traceback"]
PASSES: tuple[Outcome, ...] = ("same numbers", "one line")


def _cut(data: bytes, place: int) -> bytes:
    return data[: len(data) // 2]


def _empty(data: bytes, place: int) -> bytes:
    return b""


def _flip(data: bytes, place: int) -> bytes:
    index, bit = divmod(place % (8 * len(data)), 8)
    return data[:index] + bytes([data[index] ^ (1 << bit)]) + data[index + 1 :]


DAMAGES: dict[str, Callable[[bytes, int], bytes | None]] = {
    "cut in half": _cut,
    "emptied": _empty,
    "one bit": _flip,
    "removed": lambda data, place: None,
}
"""From the content of a file and a random number to what is left of it; ``None`` for no file."""


@dataclass(frozen=True)
class Case:
    """A damaged file, a command, and what came of it; ``said`` is its last line of errors."""

    file: str
    damage: str
    command: str
    outcome: Outcome
    said: str


def search_command(out: Path, options: dict[str, Any]) -> list[str]:
    """The words of ``nas-peft search``; without separate trainings unless ``options`` say how many."""
    given = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    trained = [] if "retrain" in options else ["--no-retrain"]
    return ["search", *given, *trained, "--device", "cpu", "--out", str(out)]


def numbers(run: Path) -> list[Any]:
    """What a run has measured, without seconds and memory."""
    results = json.loads((run / "results.json").read_text())
    return [
        (row["name"], row["selected"], [[seed[name] for name in MEASURED] for seed in row["seeds"]])
        for row in results["rows"]
    ]


def files_of(run: Path) -> list[str]:
    """Relative paths of the files of a run folder, sorted."""
    return sorted(str(path.relative_to(run)) for path in run.rglob("*") if path.is_file())


def trainings_of(run: Path) -> list[str]:
    """One file of each kind under ``trainings/``, of trainings on the training set and of final models."""
    kinds: dict[tuple[str, ...], str] = {}
    for path in sorted((run / "trainings").iterdir()):
        part = "train_val" if ".train_val." in path.name else "train"
        ending = ".val.safetensors" if path.name.endswith(".val.safetensors") else path.suffix
        kinds.setdefault((part, ending), str(path.relative_to(run)))
    return sorted(kinds.values())


def cases(run: Path, file: str, damage: str, options: dict[str, Any], seed: int) -> Iterator[Case]:
    """Damage one file of copies of the finished ``run``, and start each command on a copy."""
    data = (run / file).read_bytes()
    left = DAMAGES[damage](data, int(stream(seed, f"{file} {damage}").integers(8 * max(1, len(data)))))
    for command in ("search", "search without results", "front"):
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / "run"
            shutil.copytree(run, copy)
            if command == "search without results":
                (copy / "results.json").unlink()
            target = copy / file
            if not target.exists():
                continue
            if left is None:
                target.unlink()
            else:
                target.write_bytes(left)
            words = ["front", str(copy)] if command == "front" else search_command(copy, options)
            done = CliRunner().invoke(app, words)
            said = done.stderr.strip().splitlines()[-1:] or [""]
            outcome = _outcome(done, copy, run, command)
            if set(files_of(run)) - set(files_of(copy)) - {file, "results.json"}:
                outcome = "files lost"
            yield Case(file, damage, command, outcome, said[0].replace(folder, ""))


def _outcome(done: Any, copy: Path, run: Path, command: str) -> Outcome:
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        return "traceback"
    if done.exit_code == 0:
        same = command == "front" or numbers(copy) == numbers(run)
        return "same numbers" if same else "other numbers"
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    return "one line" if done.exit_code == 2 and len(errors) == 1 else "no line"


def table(found: Sequence[Case]) -> Table:
    """The number of cases of each damage and outcome, and each case that does not pass."""
    shown = Table("damage", *PASSES, "other")
    for damage in DAMAGES:
        of_damage = [case.outcome for case in found if case.damage == damage]
        passed = [of_damage.count(outcome) for outcome in PASSES]
        shown.add_row(damage, *map(str, passed), str(len(of_damage) - sum(passed)))
    return shown


def run(argv: Sequence[str]) -> None:
    """Run the command line of this study."""
    parser = StudyParser("faults damaged-files", "Damage each file of a run in turn.")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=OUT)
    args = parser.parse_args(argv)
    found: list[Case] = []
    with tempfile.TemporaryDirectory() as folder:
        undisturbed = Path(folder) / "undisturbed"
        done = CliRunner().invoke(app, search_command(undisturbed, SHORT))
        assert done.exit_code == 0, done.output
        for file in files_of(undisturbed):
            for damage in DAMAGES:
                found += cases(undisturbed, file, damage, SHORT, args.seed)
        trained = Path(folder) / "trained"
        done = CliRunner().invoke(app, search_command(trained, TRAINED))
        assert done.exit_code == 0, done.output
        for file in trainings_of(trained):
            for damage in DAMAGES:
                found += cases(trained, file, damage, TRAINED, args.seed)
    console = Console()
    console.print(table(found))
    for case in found:
        if case.outcome not in PASSES:
            console.print(case, highlight=False, soft_wrap=True)
    result = {"seed": args.seed, "environment": environment("cpu"), "cases": [asdict(case) for case in found]}
    write_result(args.out, result, indent=1)
