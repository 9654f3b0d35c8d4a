"""``nas-peft report``: a finished run as one HTML file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nas_peft.cli.progress_options import ProgressStyle, Quiet, bars_of
from nas_peft.cli.subnet_options import Debug, OneDevice, require_outputs
from nas_peft.cli.user_errors import user_errors

SUFFIXES = (".html", ".htm")


def report(
    runs: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN...", help="Run folder of a finished search or comparison; several with --compare."
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            help="HTML file to write; by default report.html in the run folder, or comparison.html in the "
            "first run folder with --compare."
        ),
    ] = None,
    compare: Annotated[
        bool,
        typer.Option("--compare", help="Write one page that sets several runs side by side."),
    ] = False,
    dataset: Annotated[
        str | None,
        typer.Option(
            help="Where the run's images are now, if they have moved; the report shows some of them."
        ),
    ] = None,
    device: OneDevice = "auto",
    progress: ProgressStyle = "auto",
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Write a finished run as one HTML file: decision, tables, plots, predictions, costs, configuration.

    The file loads nothing from elsewhere. The exported subnet classifies the run's test images once more, for
    the quality of each class; nothing is chosen by it.
    """
    with user_errors(debug):
        from search_spaces.errors import InputError

        bars = bars_of(progress, quiet)
        if compare and len(runs) < 2:
            raise InputError("--compare needs two run folders or more; name them all, or leave --compare out")
        if not compare and len(runs) > 1:
            raise InputError(
                f"{len(runs)} run folders are given; add --compare to set them side by side, or give one"
            )
        if compare and dataset is not None:
            raise InputError("--dataset is for the images of one run; leave it out with --compare")
        file = output or runs[0] / ("comparison.html" if compare else "report.html")
        if file.suffix.lower() not in SUFFIXES:
            raise InputError(f"'{file}' is not an HTML file: its name must end in {' or '.join(SUFFIXES)}")
        if output is not None:
            require_outputs(output)
        from nas_peft.run.place import require_run

        for run in runs:
            require_run(run)  # before torch is imported

        import sys

        from nas_peft.report.reported_run import ReportedRun
        from supernet import write_atomically

        read = [ReportedRun.read(run) for run in runs]
        if compare:
            from nas_peft.report.comparison_page import comparison_page

            html = comparison_page(read)
        else:
            from nas_peft.machine.devices import resolve_device
            from nas_peft.report.run_page import run_page

            with bars:
                page = run_page(read[0], dataset=dataset, device=resolve_device(device), bars=bars)
            html = page.html
            for missing in page.missing:
                print(f"left out: {missing.what}. {missing.why}", file=sys.stderr)
        data = html.encode("utf-8", "backslashreplace")
        write_atomically(file, data)
        if progress == "json":
            bars.tell("result", file=str(file), bytes=len(data))
        else:
            print(f"report: {file} ({len(data) / 1e6:.2f} MB)")
