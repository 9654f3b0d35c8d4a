"""Command line of the study of the search."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.harness.bench import Bench
from benchmarks.harness.command_line import StudyParser, exit_status, whole_number
from benchmarks.harness.finished_table import TABLE, FinishedTable
from benchmarks.harness.results import RESULTS, write_result
from benchmarks.harness.store import Store, add_store_options
from benchmarks.search_study.report import report_on
from benchmarks.search_study.study import SearchStudy
from benchmarks.search_study.tables import print_report

OUT = RESULTS / "search_study.json"


def run(argv: Sequence[str]) -> None:
    """Run what is missing, then write and print the report. Raises `InputError`."""
    parser = StudyParser(
        "search_study", "Compare evolution with random search, NOAH, uniform subnets and a long search."
    )
    add_store_options(parser)
    add = parser.add_argument
    add("--seeds", type=whole_number, default=3, help="searches of each task (%(default)s)")
    add("--long-seeds", type=int, default=3, help="seeds that also have the long search (%(default)s)")
    add("--epochs", type=whole_number, default=8, help="epochs of each separate training (%(default)s)")
    add("--supernet-epochs", type=whole_number, default=4, help="epochs of the supernet (%(default)s)")
    add(
        "--table",
        type=Path,
        default=TABLE,
        help="lines of python -m benchmarks.architecture_table, to compute tau with "
        "(benchmarks/results/architecture_table.jsonl; without the file no tau is computed)",
    )
    add(
        "--out", type=Path, default=OUT, help="JSON file of the report (benchmarks/results/search_study.json)"
    )
    args = parser.parse_args(argv)
    args.task = args.task or ["digits"]
    table = FinishedTable.read(args.table) if args.table.exists() else None
    bench = Bench.load(args)
    store = Store(args, bench, args.task, "search_study")
    study = SearchStudy(args, store, bench, table)
    study.run()
    report = report_on(study)
    write_result(args.out, {"setup": store.setup, **report}, indent=1)
    print_report(report)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status, 2 for a mistake in the arguments."""
    return exit_status(run, argv)
