"""The command line of the study."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks.harness.bench import Bench
from benchmarks.harness.command_line import StudyParser, exit_status, whole_number
from benchmarks.harness.halves import HALVES
from benchmarks.harness.machine import environment
from benchmarks.harness.results import RESULTS, write_result
from benchmarks.harness.store import Store
from benchmarks.recipe_study.choices import FOLDERS, ROWS, TASKS
from benchmarks.recipe_study.study import Study, finished_trainings
from benchmarks.recipe_study.tables import reading_table, validation_table
from search_spaces import InputError
from supernet import DEFAULT_BACKBONE

OUT = RESULTS / "recipe_study.json"


def parsed(argv: Sequence[str]) -> argparse.Namespace:
    """The options. Raises `InputError` for a mistake in them."""
    parser = StudyParser("recipe_study", "Measure what each choice of a recipe gains.")
    add = parser.add_argument
    add("--tasks", default=",".join(TASKS), help="tasks, or folders, separated by commas (%(default)s)")
    add("--rows", default=",".join(ROWS), help="rows, separated by commas (%(default)s)")
    add("--seeds", type=whole_number, default=3, help="seeds of the final models (%(default)s)")
    add(
        "--choice-seeds",
        type=whole_number,
        default=1,
        help="seeds of each choice, at most --seeds (%(default)s)",
    )
    add("--epochs", type=whole_number, default=8, help="default length in epochs (%(default)s)")
    add("--half", choices=HALVES, default="develop", help="half of the test images (%(default)s)")
    add("--data", type=Path, default=Path("../shared/data"), help="folder of the tasks (%(default)s)")
    add("--backbone", default=DEFAULT_BACKBONE, help="timm name (%(default)s)")
    add("--store", type=Path, default=Path("runs/recipe_study"), help="folder of lines (%(default)s)")
    add("--out", type=Path, default=OUT, help="JSON file of the report")
    add("--workers", type=whole_number, default=1, help="processes that share the cores (%(default)s)")
    add("--finished", action="store_true", help="train nothing: the validation table of what has finished")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    add("--device", default=device, help="device of all trainings (%(default)s)")
    parser.set_defaults(larger_images=True)
    args = parser.parse_args(argv)
    if args.choice_seeds > args.seeds:
        raise InputError(f"--choice-seeds is {args.choice_seeds}; allowed is --seeds at most, {args.seeds}")
    args.tasks = [_source(name, args.data) for name in args.tasks.split(",")]
    args.rows = args.rows.split(",")
    for name in args.rows:
        if name not in ROWS:
            raise InputError(f"there is no row '{name}'; give some of {', '.join(ROWS)}")
    return args


def _source(name: str, data: Path) -> str:
    """The data set of a task, as ``--dataset`` names it."""
    if name in FOLDERS:
        folder = data / FOLDERS[name]
        if not folder.is_dir():
            raise InputError(f"task '{name}' needs the folder '{folder}', which is not there; give --data")
        return str(folder)
    if name not in TASKS and not Path(name).is_dir():
        raise InputError(f"there is no task '{name}'; give some of {', '.join(TASKS)}, or folders")
    return name


def run(argv: Sequence[str]) -> None:
    """Train what is missing, read the half, write the report and print its tables.

    With ``--finished`` only print the validation table of the trainings in the store. Raises `InputError`.
    """
    args = parsed(argv)
    if args.finished:
        print("\n".join(validation_table(finished_trainings(args.store, args.tasks, args.rows))))
        return
    bench = Bench.load(args)
    rows = [ROWS[name] for name in args.rows]
    study = Study(
        Store(args, bench, args.tasks), bench, args.tasks, rows, args.choice_seeds, args.seeds, args.epochs
    )
    study.run(args.half)
    found = study.report(args.half)
    options = {name: getattr(args, name) for name in ("rows", "choice_seeds", "seeds", "epochs", "half")}
    options["tasks"] = [Path(task).name for task in args.tasks]
    write_result(args.out, {**environment(args), "options": options, **found}, indent=1)
    print("\n".join([*validation_table(found["trainings"]), "", *reading_table(found["test"])]))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status, 2 for a mistake in the arguments."""
    return exit_status(run, argv)
