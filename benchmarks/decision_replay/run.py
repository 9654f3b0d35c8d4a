"""Command line of the replay."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.decision_replay.contestants import contestants
from benchmarks.decision_replay.half_splits import half_splits, read_run
from benchmarks.decision_replay.portfolio import portfolios
from benchmarks.decision_replay.recipe_splits import read_tried, recipe_splits
from benchmarks.decision_replay.replay import among_methods, among_settings
from benchmarks.decision_replay.report import print_report
from benchmarks.decision_replay.tables import Tables
from benchmarks.harness.command_line import StudyParser, exit_status, whole_number
from benchmarks.harness.results import RESULTS, write_result
from search_spaces import InputError
from supernet import DEFAULT_BACKBONE, create_backbone

NEVER_EXPORTED = ("full", "linear")
"""Methods of the tables that the product trains as baselines and never exports."""


def run(argv: Sequence[str]) -> None:
    """Replay, write and print the report. Raises `InputError`."""
    parser = StudyParser("decision_replay", "Replay rules of decision on finished trainings.")
    add = parser.add_argument
    add("--tunings", type=Path, help="folder with tunings.csv and finals.csv")
    add(
        "--runs",
        type=Path,
        nargs="+",
        default=[],
        help="finished run folders, whose validation images are split in halves many times",
    )
    add("--recipes", type=Path, help="lines of the recipe study, replayed in the same way")
    add("--images", type=whole_number, default=200, help="images of their validation sets (%(default)s)")
    add(
        "--out",
        type=Path,
        default=RESULTS / "decision_replay.json",
        help="JSON file of the report (benchmarks/results/decision_replay.json)",
    )
    args = parser.parse_args(argv)
    if args.tunings is None and args.recipes is None and not args.runs:
        raise InputError(
            "nothing to replay; give --tunings a folder of tables, --runs finished runs, or --recipes the "
            "lines of the recipe study"
        )
    names = [folder.name for folder in args.runs]
    if len(set(names)) < len(names):
        raise InputError(f"--runs has two folders of one name ({', '.join(names)}); rename one")
    report = read_parts(args.out)
    if args.tunings is not None:
        report |= replay_tables(args.tunings, args.images)
    if args.runs:
        report["half splits"] = half_splits({folder.name: read_run(folder) for folder in args.runs})
    if args.recipes is not None:
        shape = create_backbone(DEFAULT_BACKBONE).shape
        report["recipe splits"] = recipe_splits(read_tried(args.recipes, shape))
    write_result(args.out, report, indent=1)
    print_report(report)


def read_parts(out: Path) -> dict[str, Any]:
    """The parts of an earlier report, which stay when only others are replayed."""
    return dict(json.loads(out.read_text(encoding="utf-8"))) if out.is_file() else {}


def replay_tables(folder: Path, images: int) -> dict[str, Any]:
    """The parts of the report that come from tables. Raises `InputError`."""
    tables = Tables.read(folder)
    exportable = {
        task: [option for option in options if option.method not in NEVER_EXPORTED]
        for task, options in tables.finals.items()
    }
    return {
        "methods": among_methods(tables.finals, images),
        "exportable methods": among_methods(exportable, images),
        "settings": among_settings(tables, images),
        "contestants": contestants(exportable, images),
        "portfolio": portfolios(tables.tunings),
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status, 2 for a mistake in the arguments."""
    return exit_status(run, argv)
