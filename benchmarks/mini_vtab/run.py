"""Command line of the small VTAB."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.harness.bench import Bench
from benchmarks.harness.command_line import StudyParser, exit_status, whole_number
from benchmarks.harness.results import RESULTS, write_result
from benchmarks.harness.store import Store, add_store_options
from benchmarks.mini_vtab.methods import EMBEDDED, FOLDERS
from benchmarks.mini_vtab.report import report_on
from benchmarks.mini_vtab.study import MiniVtab, Setting
from benchmarks.mini_vtab.tables import print_report
from search_spaces import InputError

OUT = RESULTS / "mini_vtab.json"


def run(argv: Sequence[str]) -> None:
    """Run what is missing, then write and print the report. Raises `InputError`."""
    parser = StudyParser(
        "mini_vtab", "Compare the searched subnet with every baseline on seven small tasks, by one protocol."
    )
    add_store_options(parser)
    add = parser.add_argument
    add("--data", type=Path, help=f"folder with the task folders {', '.join(FOLDERS)}")
    add("--seeds", type=whole_number, default=3, help="final models of each method (%(default)s)")
    add("--epochs", type=whole_number, default=8, help="epochs of each separate training (%(default)s)")
    add(
        "--supernet-epochs",
        type=whole_number,
        nargs="+",
        default=[4, 16],
        help="epochs of the supernet; of several numbers validation data choose one (4 16)",
    )
    add("--out", type=Path, default=OUT, help="JSON file of the report (benchmarks/results/mini_vtab.json)")
    args = parser.parse_args(argv)
    if args.task is None:
        if args.data is None:
            raise InputError(
                f"give --data FOLDER with the task folders {', '.join(FOLDERS)} "
                "(python -m benchmarks.public_tasks makes them), or name data sets by --task"
            )
        args.task = [EMBEDDED[0], *(str(args.data / name) for name in FOLDERS), *EMBEDDED[1:]]
    bench = Bench.load(args)
    store = Store(args, bench, args.task, "mini_vtab")
    study = MiniVtab(args.task, Setting(args.epochs, tuple(args.supernet_epochs), args.seeds), store, bench)
    study.run()
    report = report_on(study)
    write_result(args.out, {"setup": store.setup, **report}, indent=1)
    print_report(report)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status, 2 for a mistake in the arguments."""
    return exit_status(run, argv)
