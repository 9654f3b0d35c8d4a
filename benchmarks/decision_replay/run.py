"""Command line of the replay."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.decision_replay.portfolio import portfolios
from benchmarks.decision_replay.replay import among_methods, among_settings
from benchmarks.decision_replay.report import print_report
from benchmarks.decision_replay.tables import Tables
from benchmarks.harness.command_line import StudyParser, exit_status, whole_number
from benchmarks.harness.results import RESULTS, write_result
from search_spaces import InputError

NEVER_EXPORTED = ("full", "linear")
"""Methods of the tables that the product trains as baselines and never exports."""


def run(argv: Sequence[str]) -> None:
    """Replay, write and print the report. Raises `InputError`."""
    parser = StudyParser("decision_replay", "Replay rules of decision on finished trainings.")
    add = parser.add_argument
    add("--tunings", type=Path, help="folder with tunings.csv and finals.csv")
    add("--images", type=whole_number, default=200, help="images of their validation sets (%(default)s)")
    add(
        "--out",
        type=Path,
        default=RESULTS / "decision_replay.json",
        help="JSON file of the report (benchmarks/results/decision_replay.json)",
    )
    args = parser.parse_args(argv)
    if args.tunings is None:
        raise InputError("nothing to replay; give --tunings with a folder of tables")
    report: dict[str, Any] = {}
    tables = Tables.read(args.tunings)
    report["methods"] = among_methods(tables.finals, args.images)
    exportable = {
        task: [option for option in options if option.method not in NEVER_EXPORTED]
        for task, options in tables.finals.items()
    }
    report["exportable methods"] = among_methods(exportable, args.images)
    report["settings"] = among_settings(tables, args.images)
    report["portfolio"] = portfolios(tables.tunings)
    write_result(args.out, report, indent=1)
    print_report(report)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status, 2 for a mistake in the arguments."""
    return exit_status(run, argv)
