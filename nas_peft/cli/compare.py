"""``nas-peft compare``: tables of methods over several runs and data sets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nas_peft.cli.completion import run_folders
from nas_peft.cli.user_errors import user_errors


def compare(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", help="Run folders of nas-peft search.", autocompletion=run_folders),
    ],
    groups: Annotated[
        Path | None,
        typer.Option(
            help="YAML file of groups of data sets to average over, a line NAME: [DATASET, ...] for each; by "
            "default the groups of VTAB-1k, if all data sets are in them."
        ),
    ] = None,
    group: Annotated[
        list[str] | None,
        typer.Option(
            help="Group of data sets to average over, NAME=DATASET,DATASET; can be given several times."
        ),
    ] = None,
    apart: Annotated[
        bool,
        typer.Option(
            "--apart", help="Compare runs of each configuration separately, instead of refusing to mix them."
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Compare the methods of several runs in one table, with a row for each method.

    Each data set is a column, and each cell has the mean and standard deviation over seeds of the test
    accuracy, or of the --metric of the runs. Nothing is trained or evaluated. Runs on one data set with
    different seeds are pooled. Runs on one data set that differ in other options come side by side, a column
    for each setting. Runs on several data sets that differ in options are refused, or compared separately
    with --apart; what a plan (--time) set for each data set may differ.
    """
    with user_errors(debug):
        import json

        from nas_peft.compare.contests import compare_runs, differing_settings
        from nas_peft.compare.dataset_groups import parse_groups
        from nas_peft.compare.runs import ComparedRun, setting_text
        from nas_peft.compare.side_by_side import side_by_side
        from nas_peft.compare.table import (
            contests_table,
            means_table,
            score_tables,
            settings_lines,
            side_tables,
        )
        from nas_peft.run.text_console import TextConsole
        from search_spaces import InputError

        read = [ComparedRun.read(run) for run in runs]
        parsed = parse_groups(groups, group or [])
        aside = None if apart else side_by_side(read)
        console = TextConsole()
        if aside is not None and parsed:
            raise InputError(
                "--group and --groups average over data sets, and the runs are on one; leave them out, or "
                "give --apart for tables of each configuration"
            )
        if aside is not None:
            if as_json:
                print(json.dumps(aside.to_dict(), indent=1))
                return
            for table in side_tables(aside, console.width):
                console.print(table)
            for text in (*settings_lines(aside), *aside.remarks):
                console.print(text)
            return
        found = compare_runs(read, parsed, apart=apart)
        if as_json:
            print(json.dumps([comparison.to_dict() for comparison in found], indent=1))
            return
        differing = differing_settings(found)
        for comparison in found:
            for name in differing:
                console.print(f"{name}: {setting_text(comparison.settings, name)}", soft_wrap=True)
            tables = score_tables(comparison, console.width)
            if len(comparison.columns) > 1:  # of one data set a mean and a count of wins tell nothing more
                tables += [means_table(comparison), contests_table(comparison)]
            for table in tables:
                console.print(table)
            if comparison.planned:
                console.print(
                    f"set by each run's own plan for --time {comparison.settings['time']}, and not alike: "
                    f"{', '.join(comparison.planned)}",
                )
        for text in dict.fromkeys(text for comparison in found for text in comparison.remarks):
            console.print(text)
